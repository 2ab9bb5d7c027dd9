"""The figures of a run as a table would show them: names and numbers, ready for JSON. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.npc.edits import Figures
from tests.npc.ledger import Fate, Write


def report(figures: Figures) -> dict[str, Any]:
    """Counts, and times in seconds."""
    return {
        "seconds": round(figures.seconds, 1),
        "edits": len(figures.edits),
        "edits by how": dict(Counter(edit.how for edit in figures.edits).most_common()),
        "fates": {fate.value: figures.count(fate) for fate in Fate},
        "lost by how": _lost_by_how(figures),
        "commands": len(figures.results),
        "outcomes": dict(Counter(told.outcome.value for told in figures.results)),
        "most attempts of a command": max((told.attempts for told in figures.results), default=0),
        "conflicts (409) of the writer": figures.conflicts,
        "writes": len(figures.writes),
        "writes a second": round(len(figures.writes) / figures.seconds, 1),
        "reverse clobbers seen": figures.reverted,
        "memories not as they should be": len(figures.wrong),
        "windows": {label: window(figures.writes, label) for label in _labels(figures.writes)},
    }


def window(writes: Iterable[Write], label: str) -> dict[str, float]:
    """How long after the answer to a read the write that went by it was sent, and answered."""
    of_label = [write for write in writes if write.label == label]
    sent = [write.sent - write.read_answered for write in of_label]
    answered = [write.answered - write.read_answered for write in of_label]
    return {
        "writes": len(of_label),
        "sent p50": percentile(sent, 50),
        "sent p95": percentile(sent, 95),
        "answered p50": percentile(answered, 50),
        "answered p95": percentile(answered, 95),
    }


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile, to the tenth of a millisecond; 0 of nothing."""
    if not values:
        return 0.0
    rank = -(-len(values) * percent // 100)
    return round(sorted(values)[max(rank, 1) - 1], 4)


def _labels(writes: Iterable[Write]) -> list[str]:
    return sorted({write.label for write in writes})


def _lost_by_how(figures: Figures) -> dict[str, int]:
    gone = (Fate.KEPT, Fate.REFUSED)
    lost = [edit.how for edit in figures.edits if figures.fates[edit.number] not in gone]
    return dict(Counter(lost).most_common())
