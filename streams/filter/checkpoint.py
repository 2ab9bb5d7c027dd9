"""When NPCs held their pictures, written down coarsely: the `seen` Table. Pure.

    key      <partition>/<piece>; an NPC stands in any piece, and next time in another
    value    version (1), checksum of all behind it, time (s), number of NPCs; a hash of each one's
             key, and how many seconds before that time a snapshot held its picture; little-endian

Every entry is a fact, and stays one: so pieces are written at any time and in any order. Where one
is lost an NPC is stale, which costs a read of its memory; or a record that comes late, older than
what was seen since, is taken for news until the next one. Seconds are rounded up: nobody is
believed to have been seen later than it was. One NPC in 40,000 shares its hash with another of
100,000: whichever was seen earlier is believed to have been seen when the other was.

Until a state is pushed again (`force_refresh_interval`), this is all that is written of an NPC that
does what it did before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import Struct, pack, unpack_from
from typing import NamedTuple
from zlib import crc32

EVERY = 5.0
"""Seconds between the beginnings of two rounds: the game's or ours, whichever pass first."""

PIECE = 5_000
"""NPCs that are written down at once: two milliseconds."""

OLDEST = 65_535
"""Seconds before the last of a piece that fit: an NPC whose clock is ahead hides no other."""

_VERSION = 1
_HEAD = Struct("<BI")
_WHEN = Struct("<dI")
_ENTRY = 6
"""Bytes: a hash and an age."""


class Sighted(NamedTuple):
    """An NPC by its key, and when (s) a snapshot from a partition held its picture."""

    key: bytes
    partition: int
    at: float


class Rounds:
    """Goes over all NPCs, a piece at a time, and again after a while."""

    def __init__(self, every: float = EVERY, size: int = PIECE) -> None:
        self._every, self._size = every, size
        self.begin_anew()

    def begin_anew(self) -> None:
        """Partitions moved."""
        self._keys: Sequence[bytes] = ()
        self._taken, self._began = 0, (0.0, 0.0)

    def next(
        self, game: float, ours: float, everybody: Callable[[], Sequence[bytes]]
    ) -> tuple[int, Sequence[bytes]]:
        """The number of a piece and its keys; none while no round is due.

        `game`: its newest time (s), which stands still for long after one record from the future.
        `ours`: seconds of this machine, from wherever.
        """
        if self._taken >= len(self._keys):
            if game - self._began[0] < self._every and ours - self._began[1] < self._every:
                return 0, ()
            self._keys, self._taken, self._began = everybody(), 0, (game, ours)
        number, begin = self._taken // self._size, self._taken
        self._taken += self._size
        return number, self._keys[begin : self._taken]


def by_partition(sighted: Iterable[Sighted]) -> Iterator[tuple[int, bytes]]:
    """Each partition of a piece, and its Table value."""
    found: defaultdict[int, list[Sighted]] = defaultdict(list)
    for one in sighted:
        found[one.partition].append(one)
    return ((partition, dump(some)) for partition, some in found.items())


def dump(sighted: Sequence[Sighted]) -> bytes:
    """The Table value; who was seen too long ago is left out."""
    base = max((one.at for one in sighted), default=0.0)
    young = [one for one in sighted if base - one.at <= OLDEST]
    hashes = [crc32(one.key) for one in young]
    ages = [-int((one.at - base) // 1) for one in young]
    number = len(young)
    body = _WHEN.pack(base, number) + pack(f"<{number}I{number}H", *hashes, *ages)
    return _HEAD.pack(_VERSION, crc32(body)) + body


def load(value: bytes) -> dict[int, float] | None:
    """When whom a hash stands for was seen at least; None: the value is damaged, or unknown."""
    if len(value) < _HEAD.size + _WHEN.size:
        return None
    version, checksum = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    base, number = _WHEN.unpack_from(body)
    is_whole = len(body) == _WHEN.size + _ENTRY * number
    if version != _VERSION or not is_whole or crc32(body) != checksum:
        return None
    entries = unpack_from(f"<{number}I{number}H", body, _WHEN.size)
    return {one: base - age for one, age in zip(entries[:number], entries[number:], strict=True)}


def recalled(
    pieces: Iterable[tuple[int, dict[int, float]]], keys: Iterable[bytes]
) -> Iterator[Sighted]:
    """Those of the keys of whom a piece of some partition tells."""
    newest: dict[int, tuple[float, int]] = {}
    for partition, facts in pieces:
        for one, at in facts.items():
            newest[one] = max(newest.get(one, (0.0, 0)), (at, partition))
    for key in keys:
        if found := newest.get(crc32(key)):
            yield Sighted(key, found[1], found[0])
