"""One snapshot's decision for a stream processor that keeps bytes by key.

`streams.filter.core` decides, as in rollcall's own worker, with the default settings. State bytes
go in and come out in the worker's own form, so that only the plumbing around a step differs.
"""

from time import time
from typing import NamedTuple

from ops.tables import read_models
from streams.filter.core import GroupFilter, World
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.state import dump, read
from streams.settings import Settings
from topics.catalogue import LOCATIONS, NPC_ROSTER, PLAYER_PROFILES
from topics.connection import KafkaConnection
from topics.decode import decode_location, decode_profile, decode_roster_entry, decode_snapshot
from topics.encode import encode
from topics.models import Source
from topics.places import Places
from topics.roster import Roster


class Decided(NamedTuple):
    """`command`: to be sent, `state`: to be kept; None: nothing."""

    command: bytes | None
    state: bytes | None


class Step:
    """Decides snapshots one after the other, of all partitions."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._npcs: set[bytes] = set()
        self._core = GroupFilter(
            world,
            Policy.of(settings),
            settings.settle_seconds,
            settings.max_group_members,
            lambda: len(self._npcs),
        )

    def decide(
        self, key: bytes, value: bytes, timestamp: float, source: Source, state: bytes | None
    ) -> Decided:
        """`timestamp` of the record, in seconds; `state` as an earlier step left it."""
        snapshot = decode_snapshot(key, value, timestamp)
        self._npcs.add(key)
        seen = self._core.observe(snapshot, read(state), source, time())
        return Decided(
            encode(seen.command) if seen.command else None,
            dump(seen.state) if seen.state else None,
        )


async def prepared(connection: KafkaConnection) -> Step:
    """A step that knows the world of the reference topics, read once."""
    settings = Settings()
    roster, _ = await read_models(connection, NPC_ROSTER, decode_roster_entry)
    places, _ = await read_models(connection, LOCATIONS, decode_location)
    profiles, _ = await read_models(connection, PLAYER_PROFILES, decode_profile)
    players = PlayerCache(settings.player_cache_ttl)
    for profile in profiles.values():
        players.learn(profile, time())
    return Step(World(Roster(roster.values()), Places(places.values()), players), settings)
