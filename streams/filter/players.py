"""The player cache: who a player is and when somebody last saw them.

Two sources feed it, in any order:

    source                     name   description   last_seen
    profile (player-profiles)  yes    yes           its own, else the record's time
    sighting (a snapshot)      yes    no            the snapshot's

Rules: an empty or "unknown" description never replaces a real one; a name that only repeats the id
never replaces a real one; a player whom nobody saw for the TTL is forgotten. A forgotten player
who is seen again is *missing*: the profile still stands on the topic and is recalled from there,
once, for whoever has none is not found however often one looks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from topics.models import PlayerProfile
from topics.text import fold

_UNKNOWN = frozenset({"", "unknown", "n/a", "none"})


@dataclass(slots=True)
class Player:
    """A cached player. `saved_at`: the `last_seen` that stands in the changelog."""

    id: str
    name: str
    description: str = ""
    last_seen: float = 0.0
    saved_at: float = 0.0


def is_unknown(description: str) -> bool:
    """Whether a description says nothing."""
    return description.strip().casefold() in _UNKNOWN


class PlayerCache:
    """Players by id and by name (any case); of two players with one name the last seen wins."""

    def __init__(self, ttl: float) -> None:
        self.version = 0
        """Grows with everything that may change whom a name or an id means, or what is known."""
        self.lost_at = 0
        """The version at which somebody was forgotten last, or gave up a name."""
        self.ttl = ttl
        self._players: dict[str, Player] = {}
        # Who has each name: most are one player's, a dict has the last seen at its end.
        self._holders: dict[str, str | dict[str, None]] = {}
        # When each of these was seen.
        self._missing: dict[str, float] = {}
        self._asked_for: dict[str, float] = {}
        self._expired_any = False
        self._changed: dict[int, int] = {}
        """The version at which changed last whom the id or folded name of a hash means, if that
        is later than `lost_at`."""
        self._hits = 0
        self._misses = 0

    def __len__(self) -> int:
        return len(self._players)

    def __iter__(self) -> Iterator[Player]:
        return iter(self._players.values())

    def get(self, player_id: str) -> Player | None:
        """The cached player, or None."""
        return self._players.get(player_id)

    def id_of(self, name: str) -> str | None:
        """The id of the player with this name, or None while unknown."""
        found = self._holders.get(fold(name))
        return next(reversed(found)) if isinstance(found, dict) else found

    def appearance(self, player_id: str) -> str:
        """The player's description, empty while unknown."""
        player = self._players.get(player_id)
        return player.description if player else ""

    def has_news_of(self, told: Iterable[int], since: int) -> bool:
        """Whether somebody was lost since a version, or one of these means somebody else.

        `told`: hashes of ids and folded names.
        """
        if self.lost_at > since:
            return True
        changed = self._changed
        for one in told:  # noqa: SIM110 -- half the time of a generator, on every snapshot
            if changed.get(one, 0) > since:
                return True
        return False

    def settle(self) -> None:
        """All that was heard until now is news to whoever looked before it: forget the details."""
        self.version += 1
        self.lost_at = self.version
        self._changed.clear()

    def learn(self, profile: PlayerProfile, at: float) -> bool:
        """Take in a profile published at `at`; True when it tells a group something new.

        Nobody can have been seen later than that; a clock that is ahead would make for ever of it.
        """
        player = self._entry(profile.player_id, profile.name)
        player.last_seen = max(player.last_seen, min(profile.last_seen or at, at))
        self._missing.pop(profile.player_id, None)
        if is_unknown(profile.description) or profile.description == player.description:
            return False
        player.description = profile.description
        self._touch(player)
        return True

    def see(self, player_id: str, name: str, at: float) -> bool:
        """Take in a sighting; True when it is worth a changelog write (new, or a quarter TTL on).

        An unknown player of whom we have but an id is not cached: there is nothing to know yet.
        """
        known = player_id in self._players
        self._hits += known
        self._misses += not known
        if not known:
            self._miss(player_id, at)
            if name == player_id:
                return False
        player = self._entry(player_id, name)
        player.last_seen = max(player.last_seen, at)
        if player.saved_at and player.last_seen - player.saved_at < self.ttl / 4:
            return False
        player.saved_at = player.last_seen
        return True

    def seen_again(self, player_id: str, at: float) -> None:
        """A player who is known was seen where it was before."""
        player = self._players.get(player_id)
        if player is not None and player.last_seen < at:
            player.last_seen = at

    def count_hits(self, number: int) -> None:
        """So many known players were seen where they were before."""
        self._hits += number

    def restore(self, player_id: str, name: str, last_seen: float) -> None:
        """Take in a sighting from before a restart."""
        player = self._entry(player_id, name)
        player.last_seen = max(player.last_seen, last_seen)
        player.saved_at = max(player.saved_at, last_seen)

    def forget(self, player_id: str) -> None:
        """Drop a player: deleted by the game, or expired."""
        player = self._players.pop(player_id, None)
        self._missing.pop(player_id, None)
        self._asked_for.pop(player_id, None)
        if player:
            self._take_name(player)
            self.settle()

    def expire(self, now: float) -> list[str]:
        """Forget whom nobody saw for the TTL; their ids."""
        gone = [p.id for p in self._players.values() if now - p.last_seen > self.ttl]
        for player_id in gone:
            self.forget(player_id)
        self._asked_for = {w: at for w, at in self._asked_for.items() if now - at <= self.ttl}
        self._expired_any |= bool(gone)
        return gone

    def take_missing(self) -> set[str]:
        """Players met since the last call who may have been forgotten: to be recalled.

        Empty while nobody was ever forgotten: then the cache has heard every profile there is.
        """
        missing, self._missing = self._missing, {}
        if not self._expired_any:
            return set()
        self._asked_for |= missing
        return set(missing)

    def take_counts(self) -> tuple[int, int]:
        """Sightings of known and of unknown players since the last call."""
        counts = (self._hits, self._misses)
        self._hits = self._misses = 0
        return counts

    def _miss(self, player_id: str, at: float) -> None:
        if player_id not in self._asked_for:
            self._missing[player_id] = at

    def _entry(self, player_id: str, name: str) -> Player:
        player = self._players.get(player_id)
        if player is None:
            player = self._players[player_id] = Player(player_id, name)
            self._touch(player)
            if fold(name) not in self._holders:
                self._give_name(player, name)
        if name not in ("", player_id) and not self._has_name(player, name):
            self._rename(player, name)
        return player

    def _has_name(self, player: Player, name: str) -> bool:
        """Whether it is called so already, and the name means it and nobody else."""
        return player.name == name and self.id_of(name) == player.id

    def _rename(self, player: Player, name: str) -> None:
        if fold(player.name) != fold(name):
            self.lost_at = self.version + 1
            self._changed.clear()  # nothing in it is later
        self._take_name(player)
        self._give_name(player, name)
        self._touch(player)

    def _touch(self, player: Player) -> None:
        self.version += 1
        self._changed[hash(player.id)] = self._changed[hash(fold(player.name))] = self.version

    def _give_name(self, player: Player, name: str) -> None:
        player.name = name
        folded = fold(name)
        there = self._holders.get(folded)
        if isinstance(there, dict):
            there[player.id] = None
        elif there is None:
            self._holders[folded] = player.id
        else:
            self._holders[folded] = {there: None, player.id: None}

    def _take_name(self, player: Player) -> None:
        name = fold(player.name)
        there = self._holders.get(name)
        if isinstance(there, dict):
            there.pop(player.id, None)
        if there == player.id or there == {}:
            del self._holders[name]
