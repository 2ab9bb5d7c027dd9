"""Records of a stretch in batches, and which of them tell what their NPC's last one told. Pure.

That is seen at the bytes (`streams.filter.standing`), without what was decided on any: whoever
reads a stretch sees it, and whoever decides need not look into such a record.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from ops.replay.stored import Fields, Headers, Stored
from streams.filter.standing import Outline, again, outline
from topics.catalogue import NPC_SNAPSHOTS
from topics.decode import DecodeError, decode_snapshot


class Batch(NamedTuple):
    """Records in order, by their fields: a million of them pass without an object for each."""

    topics: Sequence[str] = ()
    partitions: Sequence[int] = ()
    offsets: Sequence[int] = ()
    timestamps: Sequence[int] = ()
    keys: Sequence[bytes | None] = ()
    values: Sequence[bytes | None] = ()
    headers: Sequence[Headers] = ()
    again: Sequence[float] = ()
    """As `Echoes` has it."""

    @classmethod
    def of(cls, records: Sequence[Stored], echoes: "Echoes") -> Self:
        """These records, the next ones of a stretch."""
        if not records:
            return cls()
        return cls(*zip(*records, strict=True))._replace(
            again=[echoes.again(each) for each in records]
        )

    def rows(self) -> Iterator[Fields]:
        """The fields of each."""
        return zip(*self[: len(Stored._fields)], strict=True)

    def records(self) -> Iterator[Stored]:
        """Each of them."""
        return map(Stored._make, self.rows())


class Echoes:
    """Looks at the records of a stretch, one by one.

    Invariant: a record that tells the same again decodes to what the last record of its key
    decodes to, but for the time, and for the position if a place is named.
    """

    def __init__(self) -> None:
        self._drawn: dict[bytes, Outline] = {}

    def again(self, record: Stored) -> float:
        """The time of a snapshot that tells the same again, in seconds; 0 for any other record."""
        key, value = record.key, record.value
        if key is None or record.topic != NPC_SNAPSHOTS:
            return 0.0
        drawn = self._drawn.get(key)
        at = again(value, *drawn) if drawn and value else 0.0
        if at <= 0.0:
            self._draw(key, value, record.timestamp / 1000)
        return max(at, 0.0)

    def _draw(self, key: bytes, value: bytes | None, at: float) -> None:
        drawn = _outline(key, value, at) if value else None
        if drawn:
            self._drawn[key] = drawn
        else:
            self._drawn.pop(key, None)


def _outline(key: bytes, value: bytes, at: float) -> Outline | None:
    try:
        snapshot = decode_snapshot(key, value, at)
    except DecodeError:
        return None
    return outline(value, with_place=not snapshot.location)
