"""One flusher a worker: records and ticks wait in one bounded queue and take turns in batches.

`Flusher` calls `flush` with what waits, never twice at a time, and leaves the process when `flush`
fails: nothing of that batch was acked, so a fresh process does it again from the start.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger()
Item = TypeVar("Item")


def leave_process() -> None:
    """End now, without the clean-up that might ack or wait; the supervisor starts us again."""
    os._exit(70)


class Flusher(Generic[Item]):
    """Batches of what was put, in order, one at a time.

    `weigh`: what an item counts; a batch takes what waits until it has `batch`, and whoever puts
    waits while `waiting` wait. Each counts as one by default.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        batch: int = 500,
        waiting: int = 2000,
        weigh: Callable[[Item], int] = lambda _: 1,
        on_failure: Callable[[], None] = leave_process,
    ) -> None:
        self._flush = flush
        self._batch = batch
        self._queue = _Scale(waiting, weigh)
        self._on_failure = on_failure

    @property
    def is_behind(self) -> bool:
        """Whether more waits than one batch takes: no time for what may wait."""
        return self._queue.weight > self._batch

    async def put(self, item: Item) -> None:
        """Hand over one item; waits while the queue is full."""
        await self._queue.put(item)

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await self._flush_or_leave(await self._next())

    async def _next(self) -> Sequence[Item]:
        """What waits, as much as a batch takes: one item at least."""
        begun = self._queue.taken
        items = [await self._queue.get()]
        while self._queue.taken - begun < self._batch and not self._queue.empty():
            items.append(self._queue.get_nowait())
        return items

    async def _flush_or_leave(self, items: Sequence[Item]) -> None:
        try:
            await self._flush(items)
        except Exception:
            log.exception("flush_failed", items=len(items))
            self._on_failure()


class _Scale(asyncio.Queue[Any]):
    """A queue that is full by weight: what goes in where there is room may be heavier than it."""

    def __init__(self, limit: int, weigh: Callable[[Any], int]) -> None:
        super().__init__()
        self._limit, self._weigh = limit, weigh
        self.weight = 0
        """Of what waits."""
        self.taken = 0
        """Weight of all that was taken; it only grows."""

    def full(self) -> bool:
        """See `asyncio.Queue`."""
        return self.weight >= self._limit

    def _put(self, item: Any) -> None:
        self.weight += self._weigh(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        weight = self._weigh(item)
        self.weight -= weight
        self.taken += weight
        return item
