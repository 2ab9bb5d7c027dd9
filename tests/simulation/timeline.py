"""Virtual time, and processes that can be killed between any two steps.

`Timeline` runs what is due, in order, and jumps over the time between. A `Node` is the event loop
of one simulated process: real asyncio code runs on it unchanged. A killed node never runs again:
what it had begun stays where it was, as after `kill -9`.
"""

import asyncio
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from itertools import count
from typing import Any


class KilledError(BaseException):
    """Ends the code that a process was running when it was killed; nothing catches it."""


class Handle:
    """Something that will be called."""

    __slots__ = ("args", "callback", "is_cancelled", "node")

    def __init__(self, node: "Node | None", callback: Callable[..., Any], args: Any) -> None:
        self.node, self.callback, self.args = node, callback, args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class Timeline:
    """What happens when. `now`: virtual seconds since the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes: list[Node] = []
        self.ready: deque[Handle] = deque()
        """What is due now, in order."""
        self._running: Node | None = None
        self._later: list[tuple[float, int, Handle]] = []
        self._numbers = count()

    def at(self, when: float, handle: Handle) -> Handle:
        heappush(self._later, (when, next(self._numbers), handle))
        return handle

    def after(self, seconds: float, callback: Callable[..., Any], *args: Any) -> Handle:
        """The world itself does something; no process can stop it."""
        handle = Handle(None, callback, args)
        heappush(self._later, (self.now + seconds, next(self._numbers), handle))
        return handle

    def run_until(self, end: float) -> None:
        """Runs everything that is due until then."""
        try:
            self._run_ready()
            while self._later and self._later[0][0] <= end:
                self._take_due()
                self._run_ready()
        finally:
            self._enter(None)
        self.now = max(self.now, end)

    def _take_due(self) -> None:
        """On to the next moment at which something is due."""
        later, ready = self._later, self.ready
        now = self.now = max(self.now, later[0][0])
        while later and later[0][0] <= now:
            ready.append(heappop(later)[2])

    def _run_ready(self) -> None:
        ready = self.ready
        while ready:
            handle = ready.popleft()
            node = handle.node
            if handle.is_cancelled or (node is not None and node.is_dead):
                continue
            if node is not self._running:
                self._running = node
                _set_running_loop(node)
            try:
                handle.callback(*handle.args)
            except KilledError:
                continue

    def _enter(self, node: "Node | None") -> None:
        self._running = node
        _set_running_loop(node)

    def close(self) -> None:
        """Lets go of every process, so that nothing of one simulation runs in the next."""
        for node in self.nodes:
            node.is_dead = True
            _set_running_loop(node)
            for task in node.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task.get_coro())
            node.tasks.clear()
        self._enter(None)
        self.ready.clear()
        self._later.clear()


def _close(coroutine: Any) -> None:
    try:
        coroutine.close()
    except BaseException:  # noqa: BLE001 - the last words of a process that is dead
        return


_AnyLoop: Any = asyncio.AbstractEventLoop


class Node(_AnyLoop):  # type: ignore[misc]  # only what the agents ask for is there
    """The event loop of one process."""

    def __init__(self, timeline: Timeline, name: str) -> None:
        self.timeline, self.name = timeline, name
        self.is_dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        """All that may be at work; those that are done are left out now and then."""
        self._many = 32
        self._ready = timeline.ready
        timeline.nodes.append(self)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Handle(self, callback, args)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        timeline = self.timeline
        return timeline.at(timeline.now + delay, Handle(self, callback, args))

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.timeline.at(when, Handle(self, callback, args))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        if self.is_dead:
            _close(coro)
            return self.create_future()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self)
        self.tasks.append(task)
        if len(self.tasks) > self._many:
            self.tasks = [task for task in self.tasks if not task.done()]
            self._many = 32 + 2 * len(self.tasks)
        return task

    def begin(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Starts something on this node, from anywhere."""
        self.call_soon(lambda: self.create_task(work()))

    def time(self) -> float:
        return self.timeline.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.is_dead

    def is_closed(self) -> bool:
        return self.is_dead

    def call_exception_handler(self, context: Any) -> None:
        """Tasks that end badly are looked at where they were started."""
