"""Results on their way out: many at a time, each sent until the broker has it.

Only then is a command's offset settled: a result that nobody heard of would be lost with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from streams.writer.clock import Clock
from topics.models import UpdateResult

Publish = Callable[[UpdateResult], Awaitable[None]]
"""Sends a result; returns when the broker has acknowledged it."""

RETRY = 1.0
"""Seconds before something is tried again that the broker did not take."""

_AT_ONCE = 200


class _News(NamedTuple):
    told: UpdateResult
    then: Callable[[], Awaitable[None]]


class Herald:
    """Announces results in the background."""

    def __init__(self, publish: Publish, clock: Clock, log: Any) -> None:
        self._publish, self._clock, self._log = publish, clock, log
        self._news: deque[_News] = deque()
        self._task: asyncio.Task[None] | None = None
        self.pending = 0
        """Results not acknowledged yet."""

    def tell(self, told: UpdateResult, then: Callable[[], Awaitable[None]]) -> None:
        """Sends a result, and does `then` once it is out. Never waits."""
        self._news.append(_News(told, then))
        self.pending += 1
        if self._task is None:
            self._task = asyncio.create_task(self._announce_all())

    async def until_done(self, event: str, npc_id: str, act: Callable[[], Awaitable[None]]) -> None:
        """Does something with the broker until it works; `event` names each failure in the log."""
        while True:
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - whatever a producer raises, try again
                self._log.warning(event, npc_id=npc_id, kind=type(error).__name__)
                await self._pause()
            else:
                return

    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way."""
        return [self._task] if self._task is not None else []

    async def _announce_all(self) -> None:
        try:
            while self._news:
                batch = [self._news.popleft() for _ in range(min(len(self._news), _AT_ONCE))]
                await asyncio.gather(*map(self._announce, batch))
        finally:
            self._task = None

    async def _announce(self, news: _News) -> None:
        told = news.told
        await self.until_done("result_not_sent", told.npc_id, lambda: self._publish(told))
        await news.then()
        self.pending -= 1

    async def _pause(self) -> None:
        over = asyncio.Event()
        self._clock.call_later(RETRY, over.set)
        await over.wait()
