"""Where the seconds of a start went, from the events in a worker's log. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

MARKS = {
    "imported": "worker_starts",
    "in the group": "partitions_given",
    "reference topics read": "broadcast_ready",
    "Tables stand": "tables_stand",
}
"""What is reached, and the event that says so for the first time."""


def phases(log: Iterable[str], started: float) -> dict[str, float]:
    """Seconds from the start (since the epoch) to each mark that the log has."""
    first = _first_times(log)
    return {name: first[event] - started for name, event in MARKS.items() if event in first}


def _first_times(log: Iterable[str]) -> Mapping[str, float]:
    """Of each event of structlog's console format: `<ISO time> [level] event ...`."""
    found: dict[str, float] = {}
    for line in log:
        at, _, rest = line.partition(" ")
        words = rest.partition("]")[2].split()
        if words and words[0] in MARKS.values():
            found.setdefault(words[0], _seconds(at))
    return found


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
