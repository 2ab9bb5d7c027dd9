"""NPCs of whom the game tells the same again, recognised by the bytes of the record. Pure.

Most snapshots are the NPC's last one with a later time, and the NPC moved by a little. Of the
record that was decided last it is remembered where its time stands, where its position does if the
record names the place as well, and a hash of everything around these. The next one

    has other bytes around, or no number or no three there   is decoded and decided
    is not newer, or comes after a long gap                  is decoded and decided
    comes when something is due (a refresh, a stored state)  is decoded and decided
    names somebody who was heard of since                    is decoded and decided
    none of these                                            holds the picture: nothing is new

Invariants: the NPC's state is what the record with these bytes led to; between `seen_at` and
`until` nothing falls due; a record with another number in its place decodes to the same but for the
time (`outline`), and with another position to the same but for that. Whoever changes an NPC's state
otherwise calls `leave`.
"""

import re
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.filter.players import PlayerCache
from topics.models import COORDINATE_LIMIT, Snapshot
from topics.places import Places
from topics.roster import Roster
from topics.text import fold

_TIME_KEY, _PLACE_KEY = b'"observed_at"', b'"position"'
_TIME = re.compile(_TIME_KEY + rb"\s*:\s*([0-9.eE+-]+)\s*([,}])")
_PLACE = re.compile(_PLACE_KEY + rb"\s*:\s*(\[[^][{}\"]*\])")

_Point = tuple[float, float, float]


class _Moving(msgspec.Struct):
    observed_at: float
    position: _Point | None = None


_number = msgspec.json.Decoder(float).decode
_point = msgspec.json.Decoder(_Point).decode
_moving = msgspec.json.Decoder(_Moving).decode


class Outline(NamedTuple):
    """A record but for its time, and for its position where that is no matter."""

    begin: int
    """Where the first of the two begins."""
    gap: int
    """Bytes between them; 0: only the time is left out."""
    is_time_first: bool
    mark: bytes
    """What ends the time: a comma, or the record's brace."""
    around: int
    """A hash of the rest."""


_Parts = tuple[bytes, bytes, bytes]
"""Time, position (empty: it is part of the rest) and the rest."""


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
    except msgspec.MsgspecError:
        return None
    place = None if with_place or moving.position is None else _PLACE.search(value)
    if place is None or value.count(_PLACE_KEY) != 1:
        drawn = Outline(time.start(1), 0, True, time[2], 0)
    elif time.start() < place.start():
        gap = place.start(1) - value.find(time[2], time.start(1))
        drawn = Outline(time.start(1), gap, True, time[2], 0)
    else:
        drawn = Outline(place.start(1), time.start(1) - place.end(1), False, time[2], 0)
    parts = _parts(value, drawn)
    return drawn._replace(around=hash(parts[2])) if parts else None


def _parts(value: bytes, drawn: Outline) -> _Parts | None:
    """Takes a record apart where another one had its time and position; None: it cannot be."""
    begin, gap, is_time_first, mark, _ = drawn
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


def _is_somewhere(position: bytes) -> bool:
    """Whether it is a position that could be read."""
    try:
        farthest: float = max(map(abs, _point(position)))
    except msgspec.MsgspecError:
        return False
    return farthest <= COORDINATE_LIMIT


def again(value: bytes, drawn: Outline) -> float:
    """The time of a record that tells what the drawn one told; 0 for any other."""
    parts = _parts(value, drawn)
    if parts is None or hash(parts[2]) != drawn.around:
        return 0.0
    if parts[1] and not _is_somewhere(parts[1]):
        return 0.0
    try:
        return _number(parts[0])
    except msgspec.DecodeError:
        return 0.0


@dataclass(slots=True)
class Stand:
    """How an NPC stands; times of the game, in seconds."""

    seen_at: float = 0.0
    """When a snapshot held the picture last, as far as it is known here only."""
    until: float = 0.0
    """From when on a record is decided whatever it says; 0: the next one is."""
    drawn: Outline | None = None
    roster: int = 0
    places: int = 0
    heard: int = 0
    """The versions of roster, places and players that it was decided with."""
    told: tuple[str, ...] = ()
    """Names and ids of who stands there, as the game has them."""
    players: tuple[str, ...] = ()
    """Ids of the players among the members."""


class Since(NamedTuple):
    """Until when an NPC's record needs no decision, and what was known when it had its last."""

    until: float
    roster: int
    heard: int
    players: tuple[str, ...]


@dataclass(slots=True)
class Standing:
    """Every NPC that was seen since the partitions moved, by the key of its records."""

    roster: Roster
    places: Places
    players: PlayerCache
    longest_gap: float
    """Seconds between two snapshots beyond which the second is decided."""
    _stands: dict[bytes, Stand] = field(default_factory=dict)

    def holds(self, key: bytes | None, value: bytes, latest: float) -> float:
        """The time of a record that holds the picture, which is noted; 0 for one to be decided.

        `latest`: a time beyond this is to be looked at.
        """
        stand = self._stands.get(key)  # type: ignore[arg-type]  # None is nobody's key
        if stand is None or stand.drawn is None:
            return 0.0
        at = again(value, stand.drawn)
        return at if self._stays(stand, at, latest) else 0.0

    def stays(self, key: bytes, at: float, latest: float) -> bool:
        """As `holds`, of a record that is known to tell what the last one of its key told."""
        stand = self._stands.get(key)
        return stand is not None and stand.drawn is not None and self._stays(stand, at, latest)

    def seen_at(self, key: bytes) -> float:
        """When a snapshot held the NPC's picture last, 0: not that anybody here knows."""
        stand = self._stands.get(key)
        return stand.seen_at if stand else 0.0

    def confirm(self, key: bytes, at: float) -> None:
        """A snapshot was decided and held the picture."""
        stand = self._stands.setdefault(key, Stand())
        self._note_players(stand)
        stand.seen_at = at

    def leave(self, key: bytes) -> None:
        """The NPC's state is another now."""
        stand = self._stands.pop(key, None)
        if stand:
            self._note_players(stand)

    def clear(self) -> None:
        """Partitions moved."""
        self.keep_players()
        self._stands.clear()

    def draw(
        self,
        key: bytes,
        value: bytes,
        snapshot: Snapshot,
        since: Since,
        drawn: Outline | None = None,
    ) -> None:
        """Remember the record that was decided last. `drawn`: its outline, if that is there."""
        stand = self._stands.setdefault(key, Stand())
        stand.drawn = drawn or outline(value, with_place=not snapshot.location)
        if stand.drawn is None:
            return
        stand.until, stand.players = since.until, since.players
        stand.seen_at = max(stand.seen_at, snapshot.observed_at)
        stand.roster, stand.places, stand.heard = since.roster, self.places.version, since.heard
        if (told := _told(snapshot)) != stand.told:
            stand.told = tuple(map(sys.intern, told))

    def erase(self, key: bytes) -> None:
        """The next record is decided, whatever it says."""
        stand = self._stands.get(key)
        if stand:
            stand.drawn = None

    def keep_players(self) -> None:
        """Note of the players who stand somewhere when they were seen last."""
        for stand in self._stands.values():
            self._note_players(stand)

    def __len__(self) -> int:
        return len(self._stands)

    def _stays(self, stand: Stand, at: float, latest: float) -> bool:
        seen_at = stand.seen_at
        if not seen_at < at < stand.until or at - seen_at > self.longest_gap or at > latest:
            return False
        if self._has_news(stand):
            return False
        stand.seen_at = at
        self.players.count_hits(len(stand.players))
        return True

    def _note_players(self, stand: Stand) -> None:
        for player_id in stand.players:
            self.players.seen_again(player_id, stand.seen_at)

    def _has_news(self, stand: Stand) -> bool:
        """Whether anything was heard that may matter to this NPC."""
        if stand.roster != self.roster.version or stand.places != self.places.version:
            return True
        players, heard = self.players, stand.heard
        if heard == players.version:
            return False
        if players.lost_at > heard or players.has_news_of(stand.told, heard):
            return True
        stand.heard = players.version
        return False


def _told(snapshot: Snapshot) -> tuple[str, ...]:
    """Whom it names, as `PlayerCache.news_of` knows them."""
    nearby = snapshot.nearby_players
    named = {
        *map(fold, snapshot.cluster),
        *(one.id for one in nearby),
        *(fold(one.name) for one in nearby),
    }
    return tuple(named)
