"""Looks at a worker's progress now and then, for `streams.health`.

How far the worker has read it says itself; how far there is to read is asked of the broker by a
client of its own, so that a consumer that hangs cannot make its partitions look read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.faust_layer.app import is_settled, positions
from streams.health import Pulse, Work
from topics.connection import KafkaConnection

LOOK_SECONDS = 1.0
LAG_SECONDS = 10.0
"""Seconds between two questions for the ends of the partitions."""

_PATIENCE = 5.0


class Gauge:
    """How many records of a worker's partitions it has not fetched, as of the last answer."""

    def __init__(self, app: faust.App, connection: KafkaConnection) -> None:
        self._app, self._connection = app, connection
        self._positions: Mapping[TP, int] = {}
        self.unread = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            with suppress(KafkaError, OSError):
                await self._ask_until_it_fails()
            await asyncio.sleep(LAG_SECONDS)

    async def _ask_until_it_fails(self) -> None:
        options = self._connection.client_options()
        async with AIOKafkaConsumer(**options, group_id=None, enable_auto_commit=False) as client:
            while True:
                await self._ask(client)
                await asyncio.sleep(LAG_SECONDS)

    async def _ask(self, client: AIOKafkaConsumer) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                self._positions = await positions(self._app)
        known = {TopicPartition(*tp): position for tp, position in self._positions.items()}
        ends = await client.end_offsets(list(known)) if known else {}
        self.unread = sum(max(end - known[tp], 0) for tp, end in ends.items())


async def keep_looking(
    app: faust.App, connection: KafkaConnection, pulse: Pulse, work: Callable[[], Work]
) -> None:
    """Feel the pulse until cancelled."""
    gauge = Gauge(app, connection)
    asking = asyncio.create_task(gauge.run(), name="lag")
    try:
        while True:
            pulse.look(work(), gauge.unread, is_assigned=is_settled(app))
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        asking.cancel()


async def watched(pulse: Pulse, work: Callable[[], Work], do: Awaitable[None]) -> None:
    """Does something long that comes before a worker joins its group, and feels the pulse."""
    doing = asyncio.ensure_future(do)
    try:
        while not doing.done():
            pulse.look(work(), 0, is_assigned=False)
            await asyncio.wait({doing}, timeout=LOOK_SECONDS)
    finally:
        doing.cancel()
    doing.result()
