"""The demo's town: its places, its NPCs, its players. The same seed builds the same town.

A spot is where a group stands: a place has one or more. Districts decide how the game tells of an
NPC: by an NPC snapshot of its own, or by a world snapshot of its district in one of the two shapes.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count, islice

from topics.models import Coordinates, Location, PlayerProfile, RosterEntry

DISTRICT_SIZE = 10
"""Most NPCs that one world snapshot tells of: records stay small however large the town."""

_MOST_PLACES = 200
_STUDS_APART = 140.0
_NPCS_PER_SPOT = 2
_LATE_SHARE = 0.2


def _listed(separator: str, text: str) -> tuple[str, ...]:
    return tuple(text.split(separator))


_FIRST_NAMES = _listed(
    " ",
    "Ada Bram Cora Dario Edda Falk Gisela Hanno Ines Jorin Kaja Lasse Mila Nils Orla Pavel Quinta "
    "Rasmus Sanna Tilda Ulf Vera Wanja Xenia Yara Zeno Arne Berta Cosma Dorte Enno Frida Gero "
    "Hilde Ivo Jutta Kuno Lotte Malte Nora Otto Petra Roland Selma Tjark Ursel Viggo Wiebke Alma "
    "Birger",
)
_LAST_NAMES = _listed(
    " ",
    "Ackermann Bergmann Carpenter Dunmore Eastwick Fletcher Gardner Harper Ironside Jansen Kettle "
    "Lockwood Mason Northey Oakley Potter Quill Ridgeway Sawyer Thatcher Underhill Vintner "
    "Weaver Yarrow Ashdown Brewer Cooper Draper Ember Fairley Granger Hollis Ivory Kestrel "
    "Larkin Merrow Nettle Ostler Pike Rook",
)
_TRADES = (
    ("Baker", "kneading dough"),
    ("Blacksmith", "hammering a horseshoe"),
    ("Fishmonger", "gutting a pike"),
    ("Librarian", "sorting books"),
    ("Gardener", "pruning roses"),
    ("Guard", "watching the street"),
    ("Innkeeper", "wiping a table"),
    ("Clockmaker", "winding a clock"),
    ("Herbalist", "drying sage"),
    ("Musician", "tuning a lute"),
)
_LOOKS = (
    "a grey beard and a leather apron",
    "a red scarf and quick hands",
    "flour on both sleeves",
    "a straw hat and muddy boots",
    "a scar over the left eye",
    "silver rings on every finger",
    "a green cloak with a torn hem",
    "round glasses and ink on the nose",
)
_PLACES = _listed(
    ",",
    "Market Square,Old Mill,Harbour Steps,Chapel Garden,Town Library,Blacksmith's Yard,"
    "Fountain Court,Inn at the Bridge,Bakers' Row,Watchtower,Rose Alley,Fish Pier,Clock House,"
    "Orchard Gate,Weavers' Hall,Stone Circle",
)
_QUARTERS = _listed(",", "Upper,Lower,North,South,East,West,New,Little,Far,Inner,Outer,Middle")
_ADJECTIVES = _listed(
    " ",
    "Brave Cosmic Daring Electric Fuzzy Golden Happy Icy Jolly Lucky Mighty Neon Quiet Rapid "
    "Silent Turbo",
)
_ANIMALS = _listed(
    " ",
    "Otter Falcon Badger Panda Fox Lynx Raven Turtle Wolf Gecko Moose Heron Tiger Koala Yak Newt",
)
_OUTFITS = (
    "a blue jacket and a pirate hat",
    "knight's armour with a pink cape",
    "a yellow raincoat and rubber boots",
    "a black suit and sunglasses",
    "a wizard robe covered in stars",
    "a football shirt with the number 9",
    "a dinosaur costume",
    "a white dress and a flower crown",
)


class Telling(StrEnum):
    """How the game tells of the NPCs of a district."""

    NPC = "npc"
    """One record on `npc-snapshots` for each NPC."""

    BY_NPC = "by_npc"
    """World snapshots in the seed's shape: `clusters` and `locations` by npc_id."""

    BY_CLUSTER = "by_cluster"
    """World snapshots in the Roblox game's shape: `clusters` and `humanContext` by name."""


@dataclass(frozen=True, slots=True)
class District:
    """NPCs that one world tells of, and the spots they stay at."""

    world_id: str
    telling: Telling
    npc_ids: tuple[str, ...]
    spots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Town:
    """Everything that does not change while the game runs.

    `spots`: the slug of each spot's place. `late`: players whose profile comes during the game.
    """

    places: dict[str, Location]
    npcs: dict[str, RosterEntry]
    players: dict[str, PlayerProfile]
    spots: tuple[str, ...]
    districts: tuple[District, ...]
    late: frozenset[str]

    def name_of(self, person: str) -> str:
        """What the game calls somebody: of NPCs, some by their display name."""
        npc = self.npcs.get(person)
        if npc is None:
            return self.players[person].name
        return npc.display_name if npc.display_name and number_of(person) % 2 else npc.name

    def profiles_at_start(self) -> dict[str, PlayerProfile]:
        """Those that stand before the game begins, by player_id."""
        return {who: one for who, one in self.players.items() if who not in self.late}

    def actions_of(self, npc_id: str) -> tuple[str, ...]:
        """What this NPC does all day."""
        trade = _TRADES[number_of(npc_id) % len(_TRADES)][1]
        return ("idle", trade, "chatting")


def build_town(npcs: int, seed: int, prefix: str = "") -> Town:
    """A town of `npcs` NPCs and half as many players. `prefix` sets its npc_ids apart."""
    chance = random.Random(f"town {seed}")  # noqa: S311 -- a game, no secret
    places = {place.slug: place for place in _places(npcs, chance)}
    slugs = list(places)
    spots = tuple(slugs[i % len(slugs)] for i in range(max(3, math.ceil(npcs / _NPCS_PER_SPOT))))
    districts = tuple(_districts(npcs, len(spots), prefix))
    homes = {
        npc_id: spots[district.spots[i % len(district.spots)]]
        for district in districts
        for i, npc_id in enumerate(district.npc_ids)
    }
    players = {player.player_id: player for player in _players(max(4, npcs // 2), chance)}
    late = chance.sample(sorted(players), max(1, int(len(players) * _LATE_SHARE)))
    return Town(
        places=places,
        npcs={npc.npc_id: npc for npc in _npcs(homes, chance)},
        players=players,
        spots=spots,
        districts=districts,
        late=frozenset(late),
    )


def told_of_by_npc(town: Town) -> Town:
    """The same town, without world snapshots."""
    districts = (replace(one, telling=Telling.NPC) for one in town.districts)
    return replace(town, districts=tuple(districts))


def _places(npcs: int, chance: random.Random) -> Iterator[Location]:
    wanted = min(_MOST_PLACES, max(6, npcs // 4))
    side = math.ceil(math.sqrt(wanted))
    for index, name in enumerate(islice(_place_names(), wanted)):
        row, column = divmod(index, side)
        yield Location(
            slug=name.casefold().replace("'", "").replace(" ", "-"),
            name=name,
            description=f"Where {chance.choice(_TRADES)[0].casefold()}s meet.",
            coordinates=_on_grid(row, column, chance),
        )


def _on_grid(row: int, column: int, chance: random.Random) -> Coordinates:
    x, z = (n * _STUDS_APART + chance.uniform(-15, 15) for n in (column, row))
    return (round(x, 1), 0.0, round(z, 1))


def _place_names() -> Iterator[str]:
    yield from _PLACES
    yield from (f"{quarter} {name}" for quarter in _QUARTERS for name in _PLACES)
    yield from (f"{name} {number}" for number in count(2) for name in _PLACES)


def _districts(npcs: int, spots: int, prefix: str) -> Iterator[District]:
    """A fifth of the NPCs by world snapshots of the seed's shape, a tenth by Roblox's."""
    ids = [f"{prefix}npc-{number}" for number in range(1, npcs + 1)]
    parts = [
        (Telling.BY_NPC, ids[: npcs // 5], "harbour"),
        (Telling.BY_CLUSTER, ids[npcs // 5 : npcs // 5 + npcs // 10], "hill"),
    ]
    first_spot = 0
    for telling, members, name in parts:
        for number, start in enumerate(range(0, len(members), DISTRICT_SIZE), start=1):
            group = tuple(members[start : start + DISTRICT_SIZE])
            size = math.ceil(len(group) / _NPCS_PER_SPOT)
            taken = tuple(range(first_spot, first_spot + size))
            yield District(f"{name}-{number}", telling, group, taken)
            first_spot += size
    rest = tuple(ids[npcs // 5 + npcs // 10 :])
    yield District("town", Telling.NPC, rest, tuple(range(min(first_spot, spots - 1), spots)))


def _npcs(homes: dict[str, str], chance: random.Random) -> Iterator[RosterEntry]:
    names = _person_names(chance)
    for number, (npc_id, home) in enumerate(homes.items(), start=1):
        trade = _TRADES[number % len(_TRADES)][0]
        name = next(names)
        yield RosterEntry(
            npc_id=npc_id,
            name=name,
            display_name=f"{name} the {trade}" if number % 3 == 0 else "",
            description=f"{trade} with {chance.choice(_LOOKS)}.",
            home_location=home,
        )


def _person_names(chance: random.Random) -> Iterator[str]:
    """First and last names, each pair once; numbered when the pairs are used up."""
    pairs = [f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES]
    chance.shuffle(pairs)
    yield from pairs
    yield from (f"{pair} {number}" for number in count(2) for pair in pairs)


def _players(wanted: int, chance: random.Random) -> Iterator[PlayerProfile]:
    handles = [adjective + animal for adjective in _ADJECTIVES for animal in _ANIMALS]
    chance.shuffle(handles)
    for number in range(wanted):
        turn, index = divmod(number, len(handles))
        yield PlayerProfile(
            player_id=str(1001 + number),
            name=handles[index] + (str(turn + 1) if turn else ""),
            description=outfit(chance),
        )


def outfit(chance: random.Random) -> str:
    """What a player wears today."""
    return f"Level {chance.randint(1, 99)}, wearing {chance.choice(_OUTFITS)}."


def number_of(npc_id: str) -> int:
    """The number of an NPC, from 1 on."""
    return int(npc_id.rpartition("-")[2])
