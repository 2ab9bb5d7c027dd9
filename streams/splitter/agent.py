"""The splitter on Faust: each world snapshot becomes one record per NPC, then it is acked."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import faust
from faust.types import StreamT

from streams.barrier import OrderedAcks, Taken
from streams.broadcast import Broadcast
from streams.faust_layer.app import ack_offset, generation_of, records
from streams.flusher import Flusher
from streams.health import Work
from streams.metrics import Metrics
from streams.outbox import Outbox, Record
from streams.reference import RosterTable, skip_unreadable
from streams.settings import Settings
from streams.topology import RawTopics
from topics import trace
from topics.catalogue import DEAD_LETTERS, NPC_ROSTER, NPC_SNAPSHOTS, WORLD_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_world
from topics.encode import encode, encode_key
from topics.models import Snapshot
from topics.wire import RECORD_LIMIT
from topics.world import split

STAGE = "splitter"

SNAPSHOT_LIMIT = RECORD_LIMIT - 4096
"""Bytes of one NPC's snapshot: with key and envelope it still fits the broker's 1 MiB."""

WORLD_LIMIT = 32 * RECORD_LIMIT
"""Bytes of all snapshots of one world snapshot, which has 1 MiB itself."""


class SplitterAgent:
    """The splitter role of a worker."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,  # noqa: ARG002 - every role is built alike
        connection: KafkaConnection,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._topics = RawTopics(app, connection.topic_prefix)
        self._roster = RosterTable()
        self._broadcast = Broadcast(
            connection, self._topics.names([NPC_ROSTER]), skip_unreadable(self._roster.apply)
        )
        self._acks = OrderedAcks(lambda: generation_of(app), partial(ack_offset, app))
        self._flusher: Flusher[Taken] = Flusher(self._flush, batch=50, waiting=200)
        app.agent(self._topics[WORLD_SNAPSHOTS], name=STAGE)(self._take)
        app.task(self._run)

    async def learn(self) -> None:
        """Reads the reference topics; nobody waits for a partition of ours meanwhile."""
        await self._broadcast.start()

    def work(self) -> Work:
        """What it has in hand, for its health."""
        return Work(self._broadcast.is_ready, len(self._acks), self._acks.finished)

    async def _take(self, stream: StreamT[Any]) -> None:
        async for event in records(stream):
            await self._flusher.put(self._acks.take(event))

    async def _run(self) -> None:
        await self._broadcast.start()
        await asyncio.gather(self._flusher.run(), self._broadcast.failed())

    async def _flush(self, taken: Sequence[Taken]) -> None:
        outbox = Outbox()
        for one in taken:
            if self._acks.is_ours(one):
                self._split(one, outbox)
        await outbox.deliver(self._acks)

    def _split(self, taken: Taken, outbox: Outbox) -> None:
        outbox.finished.append(taken)
        message = taken.event.message
        if message.value is None:
            return
        try:
            world = decode_world(message.value, message.timestamp)
            with trace.span("rollcall.split", message.headers) as onward:
                records = self._records(split(world, self._roster.roster), onward)
        except DecodeError as error:
            self._count("dead_letter")
            self._metrics.dead_letters.labels(stage=STAGE).inc()
            self._metrics.errors.labels(stage=STAGE).inc()
            outbox.dead_letter(self._topics[DEAD_LETTERS], STAGE, error, taken.event.message)
            return
        self._count("split")
        outbox.records += records

    def _records(
        self, snapshots: Iterable[Snapshot], headers: trace.Headers | None = None
    ) -> list[Record]:
        """What is to be sent. DecodeError where the names of a crowd, told to each NPC in it,
        become more than the broker takes or than is worth sending.
        """
        records, topic = [], self._topics[NPC_SNAPSHOTS]
        left = WORLD_LIMIT
        for one in snapshots:
            value = encode(one)
            left -= len(value)
            if len(value) > SNAPSHOT_LIMIT:
                raise DecodeError(f"the snapshot of {one.npc_id!r} would have {len(value)} bytes")
            if left < 0:
                raise DecodeError(f"all its snapshots would have more than {WORLD_LIMIT} bytes")
            records.append(Record(topic, encode_key(one.npc_id), value, headers))
        return records

    def _count(self, outcome: str) -> None:
        self._metrics.worlds.labels(outcome=outcome).inc()
