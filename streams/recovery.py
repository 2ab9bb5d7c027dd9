"""How long a worker was without partitions: from their loss, or its start, until its Tables stand.

A rebalance that comes while another is under way belongs to it.
"""

from collections.abc import Callable
from time import monotonic

import structlog

from streams.metrics import Metrics

log = structlog.get_logger()


class Recovery:
    """Times rebalances on a steady clock."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = monotonic) -> None:
        self._metrics, self._clock = metrics, clock
        self._lost_at: float | None = clock()

    def begin(self) -> None:
        """The partitions were taken away."""
        if self._lost_at is None:
            self._lost_at = self._clock()

    def given(self) -> None:
        """The group has told which partitions are ours now; their Tables are read next."""
        if self._lost_at is not None:
            log.info("partitions_given", after_seconds=round(self._clock() - self._lost_at, 2))

    def end(self) -> None:
        """The partitions of now are there, and their Tables."""
        if self._lost_at is not None:
            seconds = self._clock() - self._lost_at
            self._metrics.recovery.set(seconds)
            log.info("tables_stand", after_seconds=round(seconds, 2))
            self._metrics.rebalances.inc()
            self._lost_at = None
