"""The demo's game: people of a town who walk, stand together and part again. Pure and seeded.

Time is virtual: seconds since the game began, given to `World.tick`. The same town and seed give
the same records, whatever the wall clock does. Rules:

    player    walks to a spot, joins the group there, stays a while, leaves, walks on
    NPC       stays in a group, now and then does something else, now and then walks to another spot
    walking   in no group; an NPC is then told of by its position instead of a place
    snapshot  of each NPC every `cadence` seconds at a phase of its own, so that load is even
    profile   most stand from the start; a few come late, and now and then an outfit changes

The rates below let about a fifth of the snapshots differ from the one before.
"""

import heapq
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ops.demo.town import District, Telling, Town, number_of, outfit
from topics.catalogue import NPC_SNAPSHOTS, PLAYER_PROFILES, WORLD_SNAPSHOTS
from topics.models import Coordinates, PlayerProfile

CADENCE = 3.0
"""Seconds between two snapshots of the same NPC."""

_STUDS_PER_SECOND = 16.0
_GROUP_LIMIT = 7
_PLAYER_STAYS = (45.0, 110.0)
_NPC_STAYS = (150.0, 450.0)
_NPC_ACTS = (40.0, 110.0)
_PROFILE_COMES = (8.0, 45.0)
_OUTFIT_LASTS = (60.0, 600.0)
_WARM_UP = 900.0
"""Seconds people live before the game's beginning, so that it begins in the middle of life."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the last record told of one NPC, kept apart from the record: the text to verify against.

    `members`: ids of who stands there besides the NPC. `place`: a slug, or None while walking,
    when `position` counts.
    """

    npc_id: str
    at: float
    members: tuple[str, ...]
    place: str | None
    position: Coordinates
    action: str

    def told(self) -> tuple[frozenset[str], str | None, Coordinates | None, str]:
        """What differs when something changed: positions count only outside of places."""
        where = None if self.place else self.position
        return frozenset(self.members), self.place, where, self.action


@dataclass(frozen=True, slots=True)
class Record:
    """A record the game sends, due `at` seconds after its beginning.

    `value` has no time in it: `stamped` adds it. `truths`: one for each NPC told of.
    """

    at: float
    topic: str
    key: str
    value: dict[str, Any]
    truths: tuple[Truth, ...] = ()

    def stamped(self, observed_at: float) -> dict[str, Any]:
        """The value with its time, in the field in which this kind of record has it."""
        if self.topic == PLAYER_PROFILES:
            return self.value
        field = "timestamp" if "humanContext" in self.value else "observed_at"
        return {**self.value, field: observed_at}


@dataclass(slots=True)
class _Person:
    """Where somebody is: at a spot, or (`spot` None) walking `path` from `left_at` on."""

    id: str
    spots: tuple[int, ...]
    spot: int | None
    path: tuple[Coordinates, Coordinates]
    came_from: int
    left_at: float = 0.0
    action: str = "idle"


@dataclass(frozen=True, slots=True)
class _Telling:
    """A unit of sending: one NPC, or a district told of as a whole, at `phase` of each cadence."""

    phase: float
    district: District
    npc_ids: tuple[str, ...]


Happening = Callable[[float], None]


@dataclass
class World:
    """A running game. `truths` and `profiles` hold what has been told last."""

    town: Town
    seed: int
    cadence: float = CADENCE
    wake_up: float = 0.0
    """Seconds in which the NPCs appear one after the other; 0: all within the first cadence."""
    truths: dict[str, Truth] = field(default_factory=dict)
    profiles: dict[str, PlayerProfile] = field(default_factory=dict)
    told: int = 0
    changed: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(f"game {self.seed}")  # noqa: S311 -- a game, no secret
        self._diary: list[tuple[float, int, Happening]] = []
        self._entries = 0
        self._sent = 0
        self._news: list[Record] = []
        self._groups: list[list[str]] = [[] for _ in self.town.spots]
        self._people: dict[str, _Person] = {}
        self._spots = self._spots_by_lateness()
        self._tellings = list(_tellings(self.town, self.cadence))
        self._populate(-_WARM_UP)
        self._live_until(0.0)

    def tick(self, t: float) -> list[Record]:
        """All records due up to and including `t`, in order of their time."""
        records: list[Record] = []
        while (due := self._due()) <= t:
            self._live_until(due)
            records += self._take_news()
            telling = self._tellings[self._sent % len(self._tellings)]
            if due >= telling.phase / self.cadence * self.wake_up:
                records.append(self._tell(telling, due))
            self._sent += 1
        self._live_until(t)
        return records + self._take_news()

    def stand_still(self) -> None:
        """From now on nothing happens: snapshots go on, who walks stops where the way ends."""
        self._diary.clear()

    def _due(self) -> float:
        turn, index = divmod(self._sent, len(self._tellings))
        return turn * self.cadence + self._tellings[index].phase

    def _live_until(self, t: float) -> None:
        while self._diary and self._diary[0][0] <= t:
            at, _, happening = heapq.heappop(self._diary)
            happening(at)

    def _take_news(self) -> list[Record]:
        news, self._news = self._news, []
        return news

    def _later(self, at: float, happening: Happening) -> None:
        self._entries += 1
        heapq.heappush(self._diary, (at, self._entries, happening))

    # Life

    def _populate(self, t: float) -> None:
        for district in self.town.districts:
            for index, npc_id in enumerate(district.npc_ids):
                self._settle_npc(npc_id, district, district.spots[index % len(district.spots)], t)
        for player_id in self.town.players:
            self._settle_player(player_id, t)
            self._introduce(player_id)

    def _settle_npc(self, npc_id: str, district: District, spot: int, t: float) -> None:
        here = self._where(spot)
        self._people[npc_id] = _Person(npc_id, district.spots, spot, (here, here), spot)
        self._groups[spot].append(npc_id)
        if district.telling is not Telling.BY_CLUSTER:
            self._later(t + self._chance.uniform(0, _NPC_ACTS[1]), lambda t: self._act(npc_id, t))
        self._later(t + self._chance.uniform(0, _NPC_STAYS[1]), lambda t: self._leave(npc_id, t))

    def _settle_player(self, player_id: str, t: float) -> None:
        spots = self._spots[player_id in self.town.late]
        spot = self._chance.choice(spots)
        here = self._where(spot)
        self._people[player_id] = _Person(player_id, spots, None, (here, here), spot)
        at = t + self._chance.uniform(0, _PLAYER_STAYS[1])
        self._later(at, lambda t: self._set_out(player_id, t))

    def _introduce(self, player_id: str) -> None:
        """A late player's profile comes during the game, the others' stand; outfits change."""
        if player_id in self.town.late:
            at = self._chance.uniform(*_PROFILE_COMES)
            self._later(at, lambda t: self._publish(self.town.players[player_id], t))
        else:
            self.profiles[player_id] = self.town.players[player_id]
            at = self._chance.uniform(*_OUTFIT_LASTS)
            self._later(at, lambda t: self._dress(player_id, t))

    def _spots_by_lateness(self) -> dict[bool, tuple[int, ...]]:
        """Any; a player without a profile keeps away from where players are told of by name only.

        All players share these: with a copy each, large towns would take minutes to begin.
        """
        districts = self.town.districts
        named = [one for one in districts if one.telling is not Telling.BY_CLUSTER]
        return {
            late: tuple(spot for one in (named if late else districts) for spot in one.spots)
            for late in (False, True)
        }

    def _where(self, spot: int) -> Coordinates:
        return self.town.places[self.town.spots[spot]].coordinates

    def _act(self, npc_id: str, t: float) -> None:
        person = self._people[npc_id]
        others = [action for action in self.town.actions_of(npc_id) if action != person.action]
        person.action = self._chance.choice(others)
        self._later(t + self._chance.uniform(*_NPC_ACTS), lambda t: self._act(npc_id, t))

    def _leave(self, who: str, t: float) -> None:
        person = self._people[who]
        if person.spot is not None:
            self._groups[person.spot].remove(who)
            person.path = (self._where(person.spot), self._where(person.spot))
            person.came_from, person.spot = person.spot, None
        self._set_out(who, t)

    def _set_out(self, who: str, t: float) -> None:
        person = self._people[who]
        goal = self._chance.choice(person.spots)
        person.path, person.left_at = (person.path[1], self._where(goal)), t
        seconds = max(2.0, math.dist(*person.path) / _STUDS_PER_SECOND)
        self._later(t + min(seconds, 20.0), lambda t: self._arrive(who, goal, t))

    def _arrive(self, who: str, spot: int, t: float) -> None:
        person = self._people[who]
        is_npc = who in self.town.npcs
        if len(self._groups[spot]) >= _GROUP_LIMIT and not is_npc:
            self._set_out(who, t)
            return
        person.spot = spot
        self._groups[spot].append(who)
        stay = self._chance.uniform(*(_NPC_STAYS if is_npc else _PLAYER_STAYS))
        self._later(t + stay, lambda t: self._leave(who, t))

    def _dress(self, player_id: str, t: float) -> None:
        profile = self.profiles[player_id]
        self._publish(
            PlayerProfile(player_id=player_id, name=profile.name, description=outfit(self._chance)),
            t,
        )
        self._later(t + self._chance.uniform(*_OUTFIT_LASTS), lambda t: self._dress(player_id, t))

    # Telling

    def _publish(self, profile: PlayerProfile, t: float) -> None:
        self.profiles[profile.player_id] = profile
        value = {
            "player_id": profile.player_id,
            "name": profile.name,
            "description": profile.description,
        }
        self._news.append(Record(t, PLAYER_PROFILES, profile.player_id, value))

    def _tell(self, telling: _Telling, at: float) -> Record:
        truths = tuple(self._observe(npc_id, at, telling.district) for npc_id in telling.npc_ids)
        for truth in truths:
            self._note(truth)
        if telling.district.telling is Telling.NPC:
            return Record(at, NPC_SNAPSHOTS, truths[0].npc_id, self._alone(truths[0]), truths)
        tell = self._by_npc if telling.district.telling is Telling.BY_NPC else self._by_cluster
        value = tell(truths)
        return Record(at, WORLD_SNAPSHOTS, telling.district.world_id, value, truths)

    def _note(self, truth: Truth) -> None:
        before = self.truths.get(truth.npc_id)
        self.told += 1
        self.changed += before is None or before.told() != truth.told()
        self.truths[truth.npc_id] = truth

    def _observe(self, npc_id: str, at: float, district: District) -> Truth:
        person = self._people[npc_id]
        group = self._groups[person.spot] if person.spot is not None else []
        members = tuple(who for who in group if who != npc_id)
        place = self._place(person, district)
        action = _action(person, district.telling)
        return Truth(npc_id, at, members, place, self._position(person, at), action)

    def _place(self, person: _Person, district: District) -> str | None:
        """The place; for a walker none, or the one it left where positions cannot be told."""
        if person.spot is not None:
            return self.town.spots[person.spot]
        return self.town.spots[person.came_from] if district.telling is Telling.BY_NPC else None

    def _position(self, person: _Person, at: float) -> Coordinates:
        if person.spot is not None:
            return self._where(person.spot)
        start, goal = person.path
        length = math.dist(start, goal)
        share = min(1.0, (at - person.left_at) * _STUDS_PER_SECOND / length) if length else 1.0
        x, y, z = (round(a + (b - a) * share, 2) for a, b in zip(start, goal, strict=True))
        return (x, y, z)

    def _alone(self, truth: Truth) -> dict[str, Any]:
        """An NPC snapshot; players as objects or as pairs, as games differ."""
        players = self._players_of([truth])
        pairs = number_of(truth.npc_id) % 2
        value: dict[str, Any] = {
            "npc_id": truth.npc_id,
            "cluster": [self.town.name_of(who) for who in (truth.npc_id, *truth.members)],
            "nearby_players": [[p["id"], p["name"]] for p in players] if pairs else players,
            "action": truth.action,
            "position": list(truth.position),
        }
        if truth.place:
            value["location"] = truth.place
        return value

    def _players_of(self, truths: Iterable[Truth]) -> list[dict[str, str]]:
        ids = dict.fromkeys(who for truth in truths for who in truth.members)
        return [
            {"id": who, "name": self.town.players[who].name}
            for who in ids
            if who in self.town.players
        ]

    def _by_npc(self, truths: tuple[Truth, ...]) -> dict[str, Any]:
        """The seed's world snapshot: everything by npc_id, no positions."""
        return {
            "clusters": {
                truth.npc_id: [self.town.name_of(who) for who in truth.members] for truth in truths
            },
            "nearby_players": self._players_of(truths),
            "locations": {truth.npc_id: truth.place for truth in truths},
            "actions": {truth.npc_id: truth.action for truth in truths},
        }

    def _by_cluster(self, truths: tuple[Truth, ...]) -> dict[str, Any]:
        """The Roblox game's world snapshot: groups of names, and a context for each human."""
        groups = {
            frozenset((truth.npc_id, *truth.members)): truth for truth in truths if truth.members
        }
        return {
            "events": [],
            "clusters": [
                self._cluster((truth.npc_id, *truth.members)) for truth in groups.values()
            ],
            "humanContext": dict(self._context(truth) for truth in truths),
        }

    def _cluster(self, people: tuple[str, ...]) -> dict[str, Any]:
        npcs = sum(who in self.town.npcs for who in people)
        names = [self.town.name_of(who) for who in people]
        return {"members": names, "npcs": npcs, "players": len(people) - npcs}

    def _context(self, truth: Truth) -> tuple[str, dict[str, Any]]:
        name = self.town.name_of(truth.npc_id)
        x, y, z = truth.position
        context: dict[str, Any] = {
            "currentGroups": {**self._cluster((truth.npc_id, *truth.members)), "formed": truth.at},
            "position": {"x": x, "y": y, "z": z},
            "health": {"state": "Running", "current": 100, "max": 100, "isMoving": not truth.place},
            "lastSeen": truth.at,
        }
        if truth.place:
            context["location"] = truth.place
        return name, context


def _action(person: _Person, telling: Telling) -> str:
    """What is told; the Roblox game only tells whether somebody moves."""
    if telling is Telling.BY_CLUSTER:
        return "idle" if person.spot is not None else "moving"
    return person.action if person.spot is not None else "walking"


def _tellings(town: Town, cadence: float) -> list[_Telling]:
    """Who is told of when: phases spread by the number of NPCs told of."""
    seconds_each = cadence / len(town.npcs)
    tellings: list[_Telling] = []
    before = 0
    for district in town.districts:
        alone = district.telling is Telling.NPC
        units = [(n,) for n in district.npc_ids] if alone else [district.npc_ids]
        for npc_ids in units:
            tellings.append(_Telling(before * seconds_each, district, npc_ids))
            before += len(npc_ids)
    return tellings
