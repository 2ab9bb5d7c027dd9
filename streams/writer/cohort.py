"""When those who wait begin together, so that one request reads for all of them. Pure: time is an
argument.

    as many wait as may be under way   the next begin
    ---------------------------------  -----------------------------------------------------------
    no                                 each at once, as soon as one may: nobody waits for company
    yes                                together, when all who are under way have ended, or twice as
                                       long after the last began as an update usually takes

A read costs Letta about as much for eight as for one (`shared_reads`), and eight that begin at once
share it. Nobody's write waits for that: each follows the read at once. Who hangs holds the others
up for PATIENCE at most.
"""

from dataclasses import dataclass

PATIENCE = 0.5
"""Seconds that those who wait are held back at most, however slow updates are."""

_WEIGHT = 0.2


@dataclass(slots=True)
class Cohort:
    """Who began together last. Times are seconds on a steady clock."""

    _began: float = 0.0
    _usual: float | None = None
    """How long an update takes, the last ones counting most; None before the first."""

    def began(self, now: float) -> None:
        """An update begins."""
        self._began = now

    def took(self, seconds: float) -> None:
        """An update came to its end."""
        before = seconds if self._usual is None else self._usual
        self._usual = before + _WEIGHT * (seconds - before)

    def opens_at(self, under_way: int) -> float:
        """When the next may begin, if that is not past."""
        return self._began + min(2 * (self._usual or 0.0), PATIENCE) if under_way else 0.0

    def is_open(self, under_way: int, now: float) -> bool:
        """Whether one may begin now. Those who begin at one moment are together."""
        return now == self._began or now >= self.opens_at(under_way)
