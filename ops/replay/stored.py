"""Records as they stand on a topic, and the one order in which a stretch of them is told. Pure.

Partitions are written side by side, and a reader gets them in any order. Here they come by time, of
equal times by partition, and those of a partition always as they stand there: a record that says
it is older than the one before it counts as old as that one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class Stored(NamedTuple):
    """A record. `topic`: without the prefix; `timestamp`: milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Fields = tuple[str, int, int, int, bytes | None, bytes | None, Headers]
"""Those of a record, which is a tuple of them itself."""

TIMESTAMP: Final = 3
"""Where it stands among them."""


_Queued = tuple[int, int, int, Stored]
"""A record behind what it is ordered by: its time or that of the one before, partition, offset."""


@dataclass(slots=True)
class Merge:
    """Puts the records of several partitions in order while they are read."""

    open: set[int]
    """Partitions of which more may come."""
    _queued: dict[int, list[_Queued]] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)

    def add(self, partition: int, records: Iterable[Stored]) -> None:
        """The next records of a partition, as they stand there."""
        queued = self._queued.setdefault(partition, [])
        newest = self._newest.get(partition, 0)
        for record in records:
            newest = max(newest, record.timestamp)
            queued.append((newest, partition, record.offset, record))
        self._newest[partition] = newest

    def close(self, partition: int) -> None:
        """Nothing more comes of a partition."""
        self.open.discard(partition)

    def waiting(self) -> Mapping[int, int]:
        """How many records of each partition are not in order yet."""
        return {partition: len(queued) for partition, queued in self._queued.items()}

    def take(self) -> list[Stored]:
        """All records before which no other can come any more, in order."""
        horizon = min((self._newest.get(one, 0) for one in self.open), default=None)
        ready: list[_Queued] = []
        for partition, queued in self._queued.items():
            count = len(queued) if horizon is None else _before(queued, horizon)
            ready += queued[:count]
            self._queued[partition] = queued[count:]
        ready.sort()
        return [each[3] for each in ready]


def _before(queued: Sequence[_Queued], horizon: int) -> int:
    """How many of a partition's records are older than the horizon."""
    low, high = 0, len(queued)
    while low < high:
        middle = (low + high) // 2
        if queued[middle][0] < horizon:
            low = middle + 1
        else:
            high = middle
    return low
