"""What is remembered of each NPC, so that the same told again is not decided again. Pure.

Most snapshots are the NPC's last one with a later time, and the NPC moved by a little. Of the
record that was decided last it is remembered where its time stands, where its position does if the
record names the place as well, and a hash of everything around these. The next one

    has other bytes around, or no number or no three there   is decoded and decided
    is not newer, or comes after a long gap                  is decoded and decided
    comes when something is due (a refresh)                  is decoded and decided
    names somebody who was heard of since                    is decoded and decided
    none of these                                            holds the picture: nothing is new

Of one that is decided, whom it means need not be looked up again where it names the people whom
the one before it named (`is_familiar`), and none of these was heard of since.

Invariants: the NPC's state is what the record with these bytes led to, and has the members that
the look led to; before `until` nothing falls due; a record with another number in its place decodes
to the same but for the time (`outline`), and with another position to the same but for that.
Whoever changes an NPC's state otherwise calls `leave`, and `forget_look` if its members change.
"""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from streams.filter.players import PlayerCache
from topics.models import Coordinates, Snapshot
from topics.places import Places
from topics.roster import Roster
from topics.text import fold

_TIME_KEY, _PLACE_KEY = b'"observed_at"', b'"position"'
_TIME = re.compile(_TIME_KEY + rb"\s*:\s*([0-9.eE+-]+)\s*([,}])")
_PLACE = re.compile(_PLACE_KEY + rb"\s*:\s*(\[[^][{}\"]*\])")


class _Moving(msgspec.Struct):
    observed_at: float
    position: Coordinates | None = None


_number = msgspec.json.Decoder(float).decode
_point = msgspec.json.Decoder(Coordinates).decode
_moving = msgspec.json.Decoder(_Moving).decode


class Shape(NamedTuple):
    """Where in a record its time stands, and its position where that is no matter."""

    begin: int
    """Where the first of the two begins."""
    gap: int
    """Bytes between them; 0: only the time is left out."""
    is_time_first: bool
    mark: bytes
    """What ends the time: a comma, or the record's brace."""


class Outline(NamedTuple):
    """A record but for its time and position. `around`: a hash of the rest."""

    shape: Shape
    around: int


_Parts = tuple[bytes, bytes, bytes]
"""Time, position (empty: it is part of the rest) and the rest."""

_shape = lru_cache(maxsize=1024)(Shape)
"""The records of a game have few shapes: one object for all of the same."""


def outline(value: bytes, *, with_place: bool) -> Outline | None:
    """Of a record that could be read and has a number as its time; None for any other.

    The name of a field stands there once and nothing is escaped, so that what is behind it is the
    record's own, if it has one: no text, and no field of something within. `with_place`: the
    position is part of what the record says.
    """
    if value.count(_TIME_KEY) != 1 or b"\\" in value or not (time := _TIME.search(value)):
        return None
    try:
        moving = _moving(value)
    except (msgspec.MsgspecError, RecursionError):
        return None
    place = None if with_place or moving.position is None else _PLACE.search(value)
    if place is None or value.count(_PLACE_KEY) != 1:
        shape = _shape(time.start(1), 0, True, time[2])
    elif time.start() < place.start():
        gap = place.start(1) - value.find(time[2], time.start(1))
        shape = _shape(time.start(1), gap, True, time[2])
    else:
        shape = _shape(place.start(1), time.start(1) - place.end(1), False, time[2])
    parts = _parts(value, shape)
    return Outline(shape, hash(parts[2])) if parts else None


def _parts(value: bytes, shape: Shape) -> _Parts | None:
    """Takes a record apart where another one had its time and position; None: it cannot be."""
    begin, gap, is_time_first, mark = shape
    end = value.find(mark, begin) if is_time_first else value.find(b"]", begin) + 1
    if end <= begin:
        return None
    if not gap:
        return value[begin:end], b"", value[:begin] + value[end:]
    start = end + gap
    stop = value.find(b"]", start) + 1 if is_time_first else value.find(mark, start)
    if stop <= start:
        return None
    first, second = value[begin:end], value[start:stop]
    rest = value[:begin] + value[end:start] + value[stop:]
    return (first, second, rest) if is_time_first else (second, first, rest)


def again(value: bytes, shape: Shape, around: int) -> float:
    """The time of a record that tells what one of this outline told; 0 for any other."""
    parts = _parts(value, shape)
    if parts is None or hash(parts[2]) != around:
        return 0.0
    try:
        at = _number(parts[0])
        if parts[1]:
            _point(parts[1])
    except msgspec.MsgspecError:
        return 0.0
    return at


class Heard(NamedTuple):
    """How much had been heard of NPCs and players at some moment: versions."""

    roster: int
    players: int


@dataclass(slots=True, eq=False)
class Stand:
    """How an NPC stands; times of the game, in seconds."""

    partition: int
    """From which it was heard last."""
    seen_at: float = 0.0
    """When a snapshot held the picture last, as far as it is known here only."""

    named: int | None = None
    """A hash of whom the game named when the members were looked up; None: to be looked up."""
    roster: int = 0
    heard: int = 0
    """The versions of roster and players of that look, or later ones without news."""
    told: Sequence[int] = ()
    """Hashes of the names and ids of that look, as `PlayerCache.has_news_of` knows them."""
    players: tuple[str, ...] | None = None
    """Ids of the players among the members; None: not known yet, or somebody is not known."""

    shape: Shape | None = None
    """Of the record that was decided last; None: the next one is decided, whatever it says."""
    around: int = 0
    until: float = 0.0
    """From when on a record is decided."""
    places: int = 0
    """The version of the places that it was decided with."""


@dataclass(slots=True)
class Standing:
    """Every NPC that was seen since the partitions moved, by the key of its records."""

    roster: Roster
    places: Places
    players: PlayerCache
    longest_gap: float
    """Seconds between two snapshots beyond which the second is decided."""
    _stands: dict[bytes, Stand] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._stands)

    def get(self, key: bytes) -> Stand | None:
        """What is remembered of an NPC."""
        return self._stands.get(key)

    def at(self, key: bytes, partition: int) -> Stand:
        """What is remembered of an NPC that was heard from a partition."""
        stand = self._stands.get(key)
        if stand is None:
            stand = self._stands[key] = Stand(partition)
        stand.partition = partition
        return stand

    def keys(self) -> list[bytes]:
        """Of all of them."""
        return list(self._stands)

    # the record

    def holds(self, key: bytes | None, value: bytes, latest: float) -> float:
        """The time of a record that holds the picture, which is noted; 0 for one to be decided.

        `latest`: a time beyond this is to be looked at.
        """
        stand = self._stands.get(key)  # type: ignore[arg-type]  # None is nobody's key
        if stand is None or stand.shape is None:
            return 0.0
        at = again(value, stand.shape, stand.around)
        return at if self._stays(stand, at, latest) else 0.0

    def stays(self, key: bytes, at: float, latest: float) -> bool:
        """As `holds`, of a record that is known to tell what the last one of its key told."""
        stand = self._stands.get(key)
        return stand is not None and stand.shape is not None and self._stays(stand, at, latest)

    def draw(
        self,
        stand: Stand,
        value: bytes,
        snapshot: Snapshot,
        until: float,
        drawn: Outline | None = None,
    ) -> None:
        """Remember the record that was decided last. `until`: something falls due then.

        `drawn`: its outline; None: it is drawn here.
        """
        drawn = drawn or outline(value, with_place=not snapshot.location)
        if drawn is None:
            stand.shape = None
            return
        stand.shape, stand.around = drawn
        stand.until, stand.places = until, self.places.version
        stand.seen_at = max(stand.seen_at, snapshot.observed_at)

    def leave(self, stand: Stand) -> None:
        """The NPC's state is another now: the next record is decided, whatever it says."""
        self._note_players(stand)
        stand.shape, stand.seen_at = None, 0.0

    def clear(self) -> None:
        """Partitions moved."""
        self.keep_players()
        self._stands.clear()

    def keep_players(self) -> None:
        """Note of the players who stand somewhere when they were seen last."""
        for stand in self._stands.values():
            self._note_players(stand)

    # the look

    def heard(self) -> Heard:
        """What a look at this moment knows."""
        return Heard(self.roster.version, self.players.version)

    def is_familiar(self, stand: Stand, snapshot: Snapshot) -> bool:
        """Whether looking the members up again would give those that the state has."""
        return stand.named == _named(snapshot) and not self._has_news(stand)

    def look(self, stand: Stand, snapshot: Snapshot, heard: Heard) -> None:
        """The members were looked up when so much had been heard, and the state has them."""
        self.forget_look(stand)
        stand.named = _named(snapshot)
        stand.roster, stand.heard = heard
        stand.told = _told(snapshot)

    def forget_look(self, stand: Stand) -> None:
        """The state of an NPC has other members now."""
        self._note_players(stand)
        stand.named = stand.players = stand.shape = None

    def _stays(self, stand: Stand, at: float, latest: float) -> bool:
        seen_at = stand.seen_at
        if not seen_at < at < stand.until or at - seen_at > self.longest_gap or at > latest:
            return False
        if stand.places != self.places.version or self._has_news(stand):
            return False
        stand.seen_at = at
        self.players.count_hits(len(stand.players or ()))
        return True

    def _note_players(self, stand: Stand) -> None:
        for player_id in stand.players or ():
            self.players.seen_again(player_id, stand.seen_at)

    def _has_news(self, stand: Stand) -> bool:
        """Whether anything was heard that may matter to this NPC."""
        if stand.roster != self.roster.version:
            return True
        players, heard = self.players, stand.heard
        if heard == players.version:
            return False
        if players.has_news_of(stand.told, heard):
            return True
        stand.heard = players.version
        return False


def _told(snapshot: Snapshot) -> Sequence[int]:
    """Whom it names: their hashes take a third of the room that their names take."""
    nearby = snapshot.nearby_players
    names = {*map(fold, snapshot.cluster), *[fold(one.name) for one in nearby]}
    return array("q", [*map(hash, names), *[hash(one.id) for one in nearby]])


def _named(snapshot: Snapshot) -> int:
    return hash((snapshot.cluster, snapshot.nearby_players))
