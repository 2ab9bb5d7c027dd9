"""An NPC's records on the topics: only its partition, from some time on, only its key.

Roster, locations and players are those of now: what they were when a snapshot came stands nowhere.
"""

import asyncio
from collections.abc import AsyncIterator
from time import time
from typing import Any, TypeVar

from ops.explain.account import Evidence, Place, Seen
from ops.records import records
from ops.replay.undisturbed import undisturbed
from ops.tables import demand_topics, read_models, silence_client
from streams.filter.core import World
from streams.filter.players import PlayerCache
from topics.catalogue import (
    DEAD_LETTERS,
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    PLAYER_PROFILES,
)
from topics.connection import KafkaConnection
from topics.dead_letter import parse_headers
from topics.decode import (
    DecodeError,
    decode_command,
    decode_location,
    decode_profile,
    decode_result,
    decode_roster_entry,
    decode_snapshot,
)
from topics.encode import encode_key
from topics.models import UpdateCommand, UpdateResult
from topics.places import Places
from topics.roster import Roster

REACH = 30.0
"""Seconds before the time asked for from which commands are read: the one before the first
snapshot shown tells what the filter knew. A refresh comes every five minutes, so most are there."""

_TOPICS = (
    *(NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS, DEAD_LETTERS),
    *(NPC_ROSTER, LOCATIONS, PLAYER_PROFILES),
)


_Found = TypeVar("_Found")


class Reader:
    """Reads what the topics have of one NPC."""

    def __init__(self, connection: KafkaConnection, npc_id: str, before: float = 0.0) -> None:
        """`before`: how many seconds earlier than snapshots commands are read."""
        self._connection, self._npc_id, self._before = connection, npc_id, before

    async def begin(self) -> None:
        """Learn the world. A Failure where a topic is missing or cannot be read."""
        silence_client()
        await demand_topics(self._connection, _TOPICS)
        self._world = await self._read_world()

    async def read(self, since: float) -> Evidence:
        """What there is since some time, seconds since the epoch. A Failure as above."""
        with undisturbed():
            seen, commands, results, letters = await asyncio.gather(
                _all(self._snapshots(since)),
                _all(self._commands(since - self._before)),
                _all(self._results(since - self._before)),
                _all(self._dead_letters(since)),
            )
        return Evidence(seen, commands, results, dict(letters), self._world)

    async def _read_world(self) -> World:
        npcs, _ = await read_models(self._connection, NPC_ROSTER, decode_roster_entry)
        locations, _ = await read_models(self._connection, LOCATIONS, decode_location)
        profiles, _ = await read_models(self._connection, PLAYER_PROFILES, decode_profile)
        players = PlayerCache(float("inf"))
        for profile in profiles.values():
            players.learn(profile, time())
        return World(Roster(npcs.values()), Places(locations.values()), players)

    async def _snapshots(self, since: float) -> AsyncIterator[Seen]:
        async for record in self._records(NPC_SNAPSHOTS, since):
            at, place = record.timestamp / 1000, (record.topic, record.partition, record.offset)
            if record.value is None:
                continue
            try:
                yield Seen(place, at, decode_snapshot(record.key, record.value, at))
            except DecodeError as error:
                yield Seen(place, at, None, str(error))

    async def _commands(self, since: float) -> AsyncIterator[UpdateCommand]:
        async for record in self._records(NPC_UPDATE_COMMANDS, since):
            try:
                command = decode_command(record.value or b"")
            except DecodeError:
                continue
            if command.npc_id == self._npc_id:
                yield command

    async def _results(self, since: float) -> AsyncIterator[UpdateResult]:
        async for record in self._records(NPC_UPDATE_RESULTS, since):
            try:
                yield decode_result(record.value or b"")
            except DecodeError:
                continue

    async def _dead_letters(self, since: float) -> AsyncIterator[tuple[Place, str]]:
        async for record in self._records(DEAD_LETTERS, since):
            letter = parse_headers(record.headers)
            if letter.partition is not None and letter.offset is not None:
                yield (letter.topic, letter.partition, letter.offset), letter.error

    async def _records(self, topic: str, since: float) -> AsyncIterator[Any]:
        key = encode_key(self._npc_id)
        async for record in records(self._connection, topic, key, _quiet, since=since):
            yield record


async def _all(found: AsyncIterator[_Found]) -> list[_Found]:
    return [one async for one in found]


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody watches: a few seconds at most."""
