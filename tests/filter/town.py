"""A small town for the tests of the filter, with everything optional."""

from streams.filter.core import GroupFilter, Observation, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.state import GroupState
from topics.models import (
    Desired,
    Location,
    Member,
    PlayerProfile,
    PlayerRef,
    RosterEntry,
    Snapshot,
    Source,
)
from topics.places import Places
from topics.roster import Roster

NOON = 1_795_426_413.0
"""Seconds since the epoch, when everything begins."""

TTL = 3600.0
NPC = "npc-7"
OTTO = RosterEntry(npc_id=NPC, name="Otto", display_name="Otto the Smith", home_location="forge")
GRETA = RosterEntry(npc_id="npc-1", name="Greta", display_name="Miss Greta", description="a baker")
MARKET = Location(slug="market", name="Market Square", coordinates=(0.0, 0.0, 0.0))
FORGE = Location(slug="forge", name="The Forge", coordinates=(100.0, 0.0, 0.0))
PLACES = Places((MARKET, FORGE))
ALICE = PlayerRef(id="1001", name="Alice")
BOB = PlayerRef(id="1002", name="Bob")


def roster(*entries: RosterEntry) -> Roster:
    return Roster(entries or (OTTO, GRETA))


def profile(
    player_id: str = "1001",
    name: str = "Alice",
    description: str = "tall, red scarf",
    last_seen: float | None = None,
) -> PlayerProfile:
    return PlayerProfile(
        player_id=player_id, name=name, description=description, last_seen=last_seen
    )


def players(*profiles: PlayerProfile, ttl: float = TTL, at: float = NOON) -> PlayerCache:
    cache = PlayerCache(ttl)
    for one in profiles:
        cache.learn(one, at)
    return cache


def snapshot(
    *near: PlayerRef,
    npc_id: str = NPC,
    at: float = NOON,
    cluster: tuple[str, ...] = (),
    location: str | None = "market",
    action: str = "idle",
    position: tuple[float, float, float] | None = None,
) -> Snapshot:
    return Snapshot(
        npc_id=npc_id,
        observed_at=at,
        cluster=cluster,
        nearby_players=near,
        location=location,
        action=action,
        position=position,
    )


def member(name: str, identity: str | None = None, appearance: str = "") -> Member:
    return Member(id=identity or name.lower(), name=name, appearance=appearance)


def desired(*members: Member, location: str = "Market Square", action: str = "idle") -> Desired:
    return Desired(members=members, location=location, action=action)


def source(offset: int = 0, partition: int = 3, topic: str = "npc-snapshots") -> Source:
    return Source(topic=topic, partition=partition, offset=offset)


def state(
    *members: Member,
    location: str = "Market Square",
    action: str = "idle",
    last_updated: float = NOON,
    last_force_refresh: float = NOON,
    offset: int = 0,
) -> GroupState:
    return GroupState(
        desired=desired(*members, location=location, action=action),
        last_updated=last_updated,
        last_force_refresh=last_force_refresh,
        source=source(offset),
    )


class Filter:
    """The core with a Table of one NPC, fed record after record as the agent does."""

    def __init__(
        self,
        policy: Policy | None = None,
        settle: float = 0.0,
        limit: int = 100,
        world: World | None = None,
    ) -> None:
        self.policy, self.settle, self.limit = policy or Policy(), settle, limit
        self.world = world or World(roster(), PLACES, players())
        self.table: dict[str, GroupState] = {}
        self.sent: list[Observation] = []
        self.writes = 0
        self._next_offset = 0
        self.restart()

    def restart(self) -> None:
        """Memory is lost; the Table stays."""
        self.core = GroupFilter(
            self.world, self.policy, self.settle, self.limit, lambda: len(self.table)
        )

    def see(self, one: Snapshot, offset: int | None = None) -> Observation:
        if offset is None:
            offset, self._next_offset = self._next_offset, self._next_offset + 1
        seen = self.core.observe(one, self.table.get(one.npc_id), source(offset), one.observed_at)
        return self.store(one.npc_id, seen)

    def look_again(self, npc_id: str = NPC) -> Observation:
        seen = self.core.profile_changed(npc_id, self.table[npc_id], NOON)
        return self.store(npc_id, seen)

    def store(self, npc_id: str, seen: Observation) -> Observation:
        if seen.state:
            self.table[npc_id] = seen.state
            self.writes += 1
        if seen.command:
            self.sent.append(seen)
        return seen

    @property
    def reasons(self) -> list[str]:
        return [seen.command.reason.value for seen in self.sent if seen.command]

    @property
    def told(self) -> Desired:
        """The desired state of the last command."""
        command = self.sent[-1].command
        assert command
        return command.desired


def names(of: Desired) -> list[str]:
    return [one.name for one in of.members]
