"""Follows commands and results from some time on. Joins no group, commits nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.records import moved_to
from ops.top.npcs import Npcs
from topics.catalogue import DEAD_LETTER_LIMIT, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_command, decode_result

TOPICS = (NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS)

_BATCH = 500
"""Records decoded before anything else gets its turn."""


class Follower:
    """Feeds `npcs` from an open consumer, which is assigned the partitions of `TOPICS`."""

    def __init__(self, connection: KafkaConnection, consumer: Any, npcs: Npcs) -> None:
        self._consumer, self._npcs = consumer, npcs
        self._commands = connection.topic(NPC_UPDATE_COMMANDS)
        self._ends: Mapping[TopicPartition, int] = {}
        self.has_caught_up = asyncio.Event()
        """Whether all has been read that stood there when it began."""

    async def begin(self, since: float) -> None:
        """From the first records of that time on, seconds since the epoch."""
        partitions = sorted(self._consumer.assignment())
        self._ends = await self._consumer.end_offsets(partitions)
        await moved_to(self._consumer, partitions, since, self._ends)

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            if not self.has_caught_up.is_set() and await self._is_there():
                self.has_caught_up.set()
            for records in (
                await self._consumer.getmany(timeout_ms=500, max_records=_BATCH)
            ).values():
                for record in records:
                    self._take(record)
            await asyncio.sleep(0)  # what is fetched already comes without a wait

    async def _is_there(self) -> bool:
        places = [(await self._consumer.position(one), end) for one, end in self._ends.items()]
        return all(place >= end for place, end in places)

    def _take(self, record: Any) -> None:
        with suppress(DecodeError):  # a dead letter for whoever has to read it
            if record.topic == self._commands:
                command = decode_command(record.value or b"")
                self._npcs.take_command(command, record.partition, record.offset)
            else:
                self._npcs.take_result(decode_result(record.value or b""), time())


@asynccontextmanager
async def follower(
    connection: KafkaConnection, npcs: Npcs, since: float
) -> AsyncIterator[Follower]:
    """One that is at work, with a consumer of its own."""
    consumer = AIOKafkaConsumer(
        *(connection.topic(name) for name in TOPICS),
        **connection.client_options(),
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=DEAD_LETTER_LIMIT,
    )
    try:
        await consumer.start()
        one = Follower(connection, consumer, npcs)
        await one.begin(since)
        work = asyncio.create_task(one.follow())
        try:
            yield one
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
    finally:
        await consumer.stop()
