"""NPCs of whom the game tells the same again, recognised by the bytes of the record. Pure.

Most snapshots are the NPC's last one with a later time. Of the record that was decided last it is
remembered where its time stands, and a hash of everything around that. The next one

    has other bytes around its time, or no number there      is decoded and decided
    is not newer, or comes after a long gap                  is decoded and decided
    comes when something is due (a refresh, a stored state)  is decoded and decided
    names somebody who was heard of since                    is decoded and decided
    none of these                                            holds the picture: nothing is new

Invariants: the NPC's state is what the record with these bytes led to; between `seen_at` and
`until` nothing falls due; a record with another number in its place decodes to the same but for the
time (`outline`). Whoever changes an NPC's state otherwise calls `leave`.
"""

import re
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.filter.players import PlayerCache
from topics.models import Snapshot
from topics.places import Places
from topics.roster import Roster
from topics.text import fold

_KEY = b'"observed_at"'
_TIME = re.compile(_KEY + rb"\s*:\s*([0-9.eE+-]+)\s*([,}])")


class _Timed(msgspec.Struct):
    observed_at: float


_number = msgspec.json.Decoder(float).decode
_timed = msgspec.json.Decoder(_Timed).decode


class Outline(NamedTuple):
    """A record but for its time: where that begins, what ends it, and a hash of all the rest."""

    begin: int
    mark: bytes
    around: int


def outline(value: bytes) -> Outline | None:
    """Of a record that could be read and has a number as its time; None for any other.

    The name of the field stands there once and nothing is escaped, so that the number behind it is
    the record's own `observed_at`, if it has one: no text, and no field of something within.
    """
    if value.count(_KEY) != 1 or b"\\" in value or not (found := _TIME.search(value)):
        return None
    try:
        _timed(value)
    except msgspec.MsgspecError:
        return None
    begin, mark = found.start(1), found[2]
    return Outline(begin, mark, hash(value[:begin] + value[value.find(mark, begin) :]))


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
        begin, mark, around = stand.drawn
        end = value.find(mark, begin)
        if hash(value[:begin] + value[end:]) != around:
            return 0.0
        try:
            at = _number(value[begin:end])
        except msgspec.DecodeError:
            return 0.0
        seen_at = stand.seen_at
        if not seen_at < at < stand.until or at - seen_at > self.longest_gap or at > latest:
            return 0.0
        if self._has_news(stand):
            return 0.0
        stand.seen_at = at
        self.players.count_hits(len(stand.players))
        return at

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
        self._stands.clear()

    def draw(self, key: bytes, value: bytes, snapshot: Snapshot, since: Since) -> None:
        """Remember the record that was decided last."""
        stand = self._stands.setdefault(key, Stand())
        stand.drawn = outline(value)
        if stand.drawn is None:
            return
        stand.until, stand.players = since.until, since.players
        stand.seen_at = max(stand.seen_at, snapshot.observed_at)
        stand.roster, stand.places, stand.heard = since.roster, self.places.version, since.heard
        if (told := _told(snapshot)) != stand.told:
            stand.told = tuple(map(sys.intern, told))

    def keep_players(self) -> None:
        """Note of the players who stand somewhere when they were seen last."""
        for stand in self._stands.values():
            self._note_players(stand)

    def __len__(self) -> int:
        return len(self._stands)

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
