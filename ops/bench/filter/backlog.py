"""The town's snapshots on a topic, one for each NPC a cadence, and what stands beside them.

Written once; every contender reads the same records. The game's time runs at its usual cadence and
ends when the writing began, so that nothing lies in the future.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson

from ops.demo.game import CADENCE, Record, World
from ops.demo.play import timeline
from ops.demo.town import Town, build_town, told_of_by_npc
from ops.embedded.progress import Progress
from streams.home import home_of
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    PLAYER_PROFILES,
)
from topics.connection import KafkaConnection
from topics.encode import encode, encode_key
from topics.producer import Producer

WARM_UP = 0.05
"""Share of the records that are not timed; at least until every NPC has been seen once."""

_BATCH = 512 * 1024
_TELL_EVERY = 10_000


class Backlog(NamedTuple):
    """What stands on `<prefix>npc-snapshots`."""

    npcs: int
    records: int
    warm_up: int

    @property
    def measured(self) -> int:
        """Records that are timed."""
        return self.records - self.warm_up


def backlog_of(npcs: int, records: int) -> Backlog:
    """The share of each."""
    return Backlog(npcs, records, max(round(records * WARM_UP), npcs))


def town_of(npcs: int, seed: int) -> Town:
    """A town without world snapshots."""
    return told_of_by_npc(build_town(npcs, seed))


def snapshots(town: Town, seed: int, records: int) -> Iterator[Record]:
    """The first so many of a game, in its order."""
    game = timeline(World(town, seed), game_seconds(len(town.npcs), records))
    return islice((record for record in game if record.topic == NPC_SNAPSHOTS), records)


def game_seconds(npcs: int, records: int) -> float:
    """How long a game tells so much."""
    return CADENCE * (records / npcs + 1)


async def write(
    connection: KafkaConnection, backlog: Backlog, seed: int, progress: Progress
) -> None:
    """Everything, onto topics that are empty."""
    town = town_of(backlog.npcs, seed)
    began = time.time() - game_seconds(backlog.npcs, backlog.records)
    async with Producer(**connection.client_options(), max_batch_size=_BATCH) as producer:
        progress.step(f"Loading {backlog.npcs:,} NPCs")
        await write_reference(producer, connection, town)
        lanes = Lanes(producer, connection.topic(NPC_SNAPSHOTS))
        for number, record in enumerate(snapshots(town, seed, backlog.records)):
            at = round(began + record.at, 3)
            await lanes.append(record.key, orjson.dumps(record.stamped(at)), at)
            if number % _TELL_EVERY == 0:
                progress.step(f"Writing {backlog.records:,} snapshots", number / backlog.records)
                await asyncio.sleep(0)
        await lanes.flush()


class Lanes:
    """A batch under way for each partition."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._batches: dict[int, Any] = {}
        self._sent: list[Any] = []
        self._homes: dict[str, int] = {}

    async def append(self, npc_id: str, value: bytes, at: float) -> None:
        """One record, dated `at` (s)."""
        home = self._homes.get(npc_id)
        if home is None:
            home = self._homes[npc_id] = home_of(npc_id)
        record = {"key": encode_key(npc_id), "value": value, "timestamp": int(at * 1000)}
        if self._batch(home).append(**record) is None:
            await self._send(home)
            self._batch(home).append(**record)

    async def flush(self) -> None:
        """Everything acknowledged."""
        for partition in list(self._batches):
            await self._send(partition)
        await asyncio.gather(*self._sent)

    def _batch(self, partition: int) -> Any:
        if partition not in self._batches:
            self._batches[partition] = self._producer.create_batch()
        return self._batches[partition]

    async def _send(self, partition: int) -> None:
        batch = self._batches.pop(partition)
        self._sent.append(await self._producer.send_batch(batch, self._topic, partition=partition))


async def write_reference(producer: Producer, connection: KafkaConnection, town: Town) -> None:
    """Roster, locations and every player's profile."""
    models = [
        *((NPC_ROSTER, entry.npc_id, entry) for entry in town.npcs.values()),
        *((LOCATIONS, place.slug, place) for place in town.places.values()),
        *((PLAYER_PROFILES, one.player_id, one) for one in town.players.values()),
    ]
    for topic, key, model in models:
        await producer.send(connection.topic(topic), encode(model), encode_key(key))
    await producer.flush()
