"""How long partitions pause while workers come, leave and die, under a steady feed.

Every snapshot of the feed tells of a new action, so every one of them leads to a command.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import cycle, islice
from typing import Any

import orjson

from ops.bench.filter_scale.bed import Bed, Commands, Worker
from ops.bench.filter_scale.growth import Feed, joined
from ops.bench.filter_scale.pauses import Event, Holders, event, pauses
from ops.embedded.progress import Progress
from ops.failure import Failure
from ops.tables import admin_client
from streams.home import home_of
from topics.catalogue import PARTITIONS
from topics.encode import encode_key
from topics.producer import Producer

CALM = 8.0
"""Seconds of the feed before each event, from which the usual gap is taken."""

WATCHED = 25.0
"""Seconds after the beginning of an event in which its pauses are looked for."""

JOIN = "a worker joins"
_ENDS = {"a worker leaves": signal.SIGTERM, "a worker dies": signal.SIGKILL}
_PACE = 0.01


async def rebalance(
    bed: Bed, first: Worker, feed: Feed, commands: Commands, rate: int, progress: Progress
) -> list[Event]:
    """A second worker is there; a third joins, leaves, comes back, and is killed."""
    with ExitStack() as stack:
        async with admin_client(bed.connection) as admin, _fed(bed, feed, rate):
            watch = _Watch(bed, admin, commands)
            second = stack.enter_context(bed.worker())
            await joined(bed, admin, second, 2)
            await asyncio.sleep(CALM)
            found: list[Event] = []
            for name, how in _ENDS.items():
                progress.step(f"A worker joins; {name}")
                join = _Join(stack, bed)
                found.append(await watch.event(JOIN, join, 3))
                found.append(await watch.event(name, partial(join.end, how), 2))
            first.rss(), second.rss()  # both are still alive
            return found


class _Join:
    """Starts one more worker."""

    def __init__(self, stack: ExitStack, bed: Bed) -> None:
        self._stack, self._bed = stack, bed
        self._worker: Worker | None = None

    async def __call__(self) -> None:
        self._worker = self._stack.enter_context(self._bed.worker())

    async def end(self, how: signal.Signals) -> None:
        """Ends it by a signal."""
        assert self._worker is not None  # it joined
        await self._worker.end(how)


class _Watch:
    """Looks at the commands from a calm before an event to its end."""

    def __init__(self, bed: Bed, admin: Any, commands: Commands) -> None:
        self._bed, self._admin, self._commands = bed, admin, commands

    async def event(self, name: str, do: Callable[[], Awaitable[None]], members: int) -> Event:
        """Does it; the pauses of each partition. `members`: the group's, afterwards."""
        self._commands.appended.clear()
        calm = time.time()
        await asyncio.sleep(CALM)
        before, begin = await self._bed.holders(self._admin), time.time()
        await do()
        await asyncio.sleep(max(0.0, begin + WATCHED - time.time()))
        after = await self._bed.holders(self._admin)
        _demand(name, after, members)
        appended = {number: self._commands.appended[number] for number in range(PARTITIONS)}
        return event(name, pauses(appended, calm, begin, begin + WATCHED - 1), before, after)


def _demand(name: str, holders: Holders, members: int) -> None:
    there = len(set(holders.values()))
    if there != members:
        raise Failure(f"after {name!r} {there} workers hold partitions, not {members}.")


@asynccontextmanager
async def _fed(bed: Bed, feed: Feed, rate: int) -> AsyncIterator[None]:
    task = asyncio.create_task(_feed(bed, feed, rate))
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _feed(bed: Bed, feed: Feed, rate: int) -> None:
    """So many snapshots a second, over all partitions in turn, until it is cancelled."""
    homes = {npc_id: home_of(npc_id) for npc_id in feed.example}
    lanes = [[n for n, home in homes.items() if home == number] for number in range(PARTITIONS)]
    order = cycle([npc_id for row in zip(*lanes, strict=False) for npc_id in row])
    began, sent = time.time(), 0
    async with Producer(**bed.connection.client_options()) as producer:
        while True:
            due = int((time.time() - began) * rate) - sent
            for npc_id in islice(order, due):
                sent += 1
                now = round(time.time(), 3)
                value = feed.example[npc_id].stamped(now) | {"action": f"busy with {sent}"}
                key, at = encode_key(npc_id), int(now * 1000)
                await producer.send(
                    bed.source, orjson.dumps(value), key, partition=homes[npc_id], timestamp_ms=at
                )
            await asyncio.sleep(_PACE)
