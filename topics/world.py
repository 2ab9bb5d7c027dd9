"""One world snapshot becomes one snapshot per NPC. Pure: the roster is an argument.

    seed's shape      one snapshot for each key of `clusters`
    Roblox shape      one for each NPC that is a member of a group, with the other members as its
                      cluster; one with an empty cluster for each NPC that is only mentioned
    place             the record's own; else (Roblox) the position; else the roster's home location
    action            the record's own; else (Roblox) "moving" or "idle"; else "idle"
    players (seed)    a player belongs to the NPCs whose cluster names that player, by name or id;
                      where no cluster names any player, all players belong to every NPC
    disabled NPCs     get no snapshot, and still count as NPCs in the groups of others
    unknown names     are players; the filter looks up their ids

An NPC gets at most one snapshot per record, however many groups name it.
"""

from collections.abc import Iterable, Iterator

from topics.models import (
    DEFAULT_ACTION,
    PlayerRef,
    RobloxHuman,
    RobloxWorld,
    RosterEntry,
    SeedWorld,
    Snapshot,
    WorldSnapshot,
)
from topics.roster import Roster
from topics.text import fold

MOVING = "moving"
"""The action of an NPC of which the Roblox game only says that it moves."""


def split(world: WorldSnapshot, roster: Roster) -> list[Snapshot]:
    """The snapshots of all enabled NPCs in a world snapshot, in the order of the record."""
    match world:
        case SeedWorld():
            return _split_seed(world, roster)
        case RobloxWorld():
            return _split_roblox(world, roster)
        case _:
            raise TypeError(f"no world snapshot of a known shape: {type(world).__name__}")


# ---------------------------------------------------------------- the seed's shape


def _split_seed(world: SeedWorld, roster: Roster) -> list[Snapshot]:
    players = _SeedPlayers(world)
    return [
        Snapshot(
            npc_id=npc_id,
            observed_at=world.observed_at,
            cluster=names,
            nearby_players=players.near(names),
            location=world.locations.get(npc_id) or _home(roster.by_id(npc_id)),
            action=world.actions.get(npc_id) or DEFAULT_ACTION,
        )
        for npc_id, names in world.clusters.items()
        if _is_enabled(roster.by_id(npc_id))
    ]


class _SeedPlayers:
    """The record's players by what clusters may call them."""

    def __init__(self, world: SeedWorld) -> None:
        self._players = world.nearby_players
        self._places: dict[str, set[int]] = {}
        for place, player in enumerate(world.nearby_players):
            for called in {fold(player.name), fold(player.id)}:
                self._places.setdefault(called, set()).add(place)
        every_name = (name for names in world.clusters.values() for name in names)
        self._is_any_named = any(fold(name) in self._places for name in every_name)

    def near(self, names: Iterable[str]) -> tuple[PlayerRef, ...]:
        if not self._is_any_named:
            return self._players
        places: set[int] = set().union(*(self._places.get(fold(name), ()) for name in names))
        return tuple(self._players[place] for place in sorted(places))


def _is_enabled(entry: RosterEntry | None) -> bool:
    # An NPC that the roster does not know gets its snapshot: the game says that it is one.
    return entry is None or entry.enabled


def _home(entry: RosterEntry | None) -> str | None:
    return entry.home_location if entry else None


# ---------------------------------------------------------------- the Roblox shape


def _split_roblox(world: RobloxWorld, roster: Roster) -> list[Snapshot]:
    humans = _humans_by_npc(world, roster)
    return [
        _roblox_snapshot(world.observed_at, npc, others, humans.get(npc.npc_id, RobloxHuman()))
        for npc, others in _groups(world, roster)
    ]


def _groups(world: RobloxWorld, roster: Roster) -> list[tuple[RosterEntry, list[str]]]:
    """Each enabled NPC with the names of those around it, in order, without its own names."""
    groups: dict[str, dict[str, None]] = {}
    for group in world.clusters:
        named = [(name, roster.by_name(name)) for name in group.members]
        for npc in _enabled(npc for _, npc in named):
            others = groups.setdefault(npc.npc_id, {})
            others.update((name, None) for name, other in named if other is not npc)
    for npc in _enabled(map(roster.by_name, _mentioned(world))):
        groups.setdefault(npc.npc_id, {})
    return [(npc, list(groups[npc.npc_id])) for npc in _enabled(map(roster.by_id, groups))]


def _mentioned(world: RobloxWorld) -> Iterator[str]:
    """Every name of the record: an NPC that stands with nobody is in no group of `clusters`."""
    for name, human in world.human_context.items():
        yield name
        if human.current_groups is not None:
            yield from human.current_groups.members


def _enabled(entries: Iterable[RosterEntry | None]) -> Iterator[RosterEntry]:
    return (entry for entry in entries if entry is not None and entry.enabled)


def _humans_by_npc(world: RobloxWorld, roster: Roster) -> dict[str, RobloxHuman]:
    """What the game knows of each NPC; the first entry counts where it has two names."""
    humans: dict[str, RobloxHuman] = {}
    for name, human in world.human_context.items():
        entry = roster.by_name(name)
        if entry is not None:
            humans.setdefault(entry.npc_id, human)
    return humans


def _roblox_snapshot(
    observed_at: float, npc: RosterEntry, others: Iterable[str], human: RobloxHuman
) -> Snapshot:
    return Snapshot(
        npc_id=npc.npc_id,
        observed_at=observed_at,
        cluster=tuple(others),
        location=human.location or (npc.home_location if human.position is None else None),
        action=_movement(human),
        position=human.position,
    )


def _movement(human: RobloxHuman) -> str:
    return MOVING if human.health is not None and human.health.is_moving else DEFAULT_ACTION
