"""What a batch of snapshots came to, told to the metrics once a batch."""

from collections import Counter

from streams.filter.core import Held, SnapshotOutcome
from streams.metrics import Metrics
from topics.models import Reason


class Tally:
    """Counts between two reports."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._outcomes: Counter[SnapshotOutcome] = Counter()
        self._held: Counter[Held] = Counter()
        self._reasons: Counter[Reason] = Counter()

    def count(self, outcome: SnapshotOutcome, held: Held | None = None, number: int = 1) -> None:
        """So many snapshots; of suppressed ones, why."""
        self._outcomes[outcome] += number
        if held is not None:
            self._held[held] += number

    def sent(self, reason: Reason) -> None:
        """A command."""
        self._reasons[reason] += 1

    def report(self) -> None:
        """Tell the metrics, and begin anew."""
        metrics, outcomes = self._metrics, self._outcomes
        for outcome, number in outcomes.items():
            metrics.snapshots.labels(outcome=outcome).inc(number)
        for held, number in self._held.items():
            metrics.suppressed.labels(why=held).inc(number)
        for reason, number in self._reasons.items():
            metrics.decisions.labels(reason=reason).inc(number)
        hits, misses = outcomes[SnapshotOutcome.SUPPRESSED], outcomes[SnapshotOutcome.SENT]
        for result, number in (("hit", hits), ("miss", misses)):
            if number:
                metrics.cache_requests.labels(cache="groups", result=result).inc(number)
        for counts in (outcomes, self._held, self._reasons):
            counts.clear()
