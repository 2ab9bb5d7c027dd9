"""Samples of both answers, under load and at rest; and the seconds while a consumer is stopped."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ops.bench.lag.agreement import Age, Judged, Told, at_rest, moving, told_by_tool
from ops.bench.lag.traffic import Traffic, traffic
from ops.embedded.kafka_tools import described_group
from ops.failure import Failure
from ops.lag.reading import LagReader, Position, lag_reader
from ops.topics_admin import apply, delete_all
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection

EVERY = 1.0
"""Seconds between two readings while the consumer is stopped."""


class Sample(NamedTuple):
    """Both answers, compared twice."""

    moving: list[Judged]
    at_rest: list[Judged]


class Stop(NamedTuple):
    """A consumer that stood still for so many seconds, read again and again."""

    seconds: float
    ages: list[Age]


class Course:
    """The load, and both who are asked about it."""

    def __init__(
        self, load: Traffic, reader: LagReader, class_path: str, topic: str, group: str
    ) -> None:
        self._load, self._reader, self._class_path = load, reader, class_path
        self._topic, self._group = topic, group

    async def sample(self) -> Sample:
        """One under load, one at rest."""
        before, tool, after = await self._ours(), await self._tools(), await self._ours()
        async with self._load.at_rest():
            resting = at_rest(await self._ours(), await self._tools())
        return Sample(moving(before, tool, after), resting)

    async def stop(self, seconds: float) -> Stop:
        """Stops the consumer, which has caught up, and compares until the time is over."""
        self._load.is_slow = False
        await self._load.until(self._load.has_caught_up, "the consumer catches up")
        ages = []
        async with self._load.consumer_stopped():
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(EVERY, left))
                ages += await self._ages()
        return Stop(seconds, ages)

    async def _ages(self) -> list[Age]:
        positions = await self._positions()
        now = time.time()
        return [
            Age(one.partition, self._load.age(one.partition, now), one.seconds) for one in positions
        ]

    async def _positions(self) -> list[Position]:
        return await self._reader.read({self._group: [self._topic]})

    async def _ours(self) -> dict[int, Told]:
        return {
            one.partition: Told(one.sample.committed, one.sample.end, one.sample.lag)
            for one in await self._positions()
        }

    async def _tools(self) -> dict[int, Told]:
        address = ",".join(self._reader.connection.bootstrap_servers)
        rows = await asyncio.to_thread(described_group, self._class_path, address, self._group)
        return told_by_tool(rows, self._topic)


@asynccontextmanager
async def course(
    connection: KafkaConnection, class_path: str, rate: float, seed: int
) -> AsyncIterator[Course]:
    """Topics of our own under load, gone in the end."""
    if connection.security_protocol != "PLAINTEXT":
        raise Failure("the broker's own tool is asked without TLS and SASL, so this broker is not.")
    topic, group = connection.topic(NPC_SNAPSHOTS), f"{connection.topic_prefix}consumer"
    await apply(connection)
    try:
        async with (
            lag_reader(connection) as reader,
            traffic(connection, topic, group, rate, seed) as load,
        ):
            await load.until(lambda: bool(load.committed), "the first commit")
            yield Course(load, reader, class_path, topic, group)
    finally:
        await delete_all(connection)
