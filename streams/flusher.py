"""One flusher a worker: records and ticks wait in one bounded queue and take turns in batches.

`Flusher` calls `flush` with what waits, never twice at a time, and leaves the process when `flush`
fails: nothing of that batch was acked, so a fresh process does it again from the start.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()
Item = TypeVar("Item")


def leave_process() -> None:
    """End now, without the clean-up that might ack or wait; the supervisor starts us again."""
    os._exit(70)


class Flusher(Generic[Item]):
    """Batches of what was put, in order, one at a time."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        batch: int = 500,
        waiting: int = 2000,
        on_failure: Callable[[], None] = leave_process,
    ) -> None:
        self._flush = flush
        self._batch = batch
        self._queue: asyncio.Queue[Item] = asyncio.Queue(maxsize=waiting)
        self._on_failure = on_failure

    @property
    def is_behind(self) -> bool:
        """Whether more waits than one batch takes: no time for what may wait."""
        return self._queue.qsize() > self._batch

    async def put(self, item: Item) -> None:
        """Hand over one item; waits while the queue is full."""
        await self._queue.put(item)

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            items = [await self._queue.get()]
            while len(items) < self._batch and not self._queue.empty():
                items.append(self._queue.get_nowait())
            await self._flush_or_leave(items)

    async def _flush_or_leave(self, items: Sequence[Item]) -> None:
        try:
            await self._flush(items)
        except Exception:
            log.exception("flush_failed", items=len(items))
            self._on_failure()
