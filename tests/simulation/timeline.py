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
        self.turns = 0
        self.nodes: list[Node] = []
        self._ready: deque[Handle] = deque()
        self._later: list[tuple[float, int, Handle]] = []
        self._numbers = count()

    def soon(self, handle: Handle) -> Handle:
        self._ready.append(handle)
        return handle

    def at(self, when: float, handle: Handle) -> Handle:
        heappush(self._later, (when, next(self._numbers), handle))
        return handle

    def after(self, seconds: float, callback: Callable[..., Any], *args: Any) -> Handle:
        """The world itself does something; no process can stop it."""
        return self.at(self.now + seconds, Handle(None, callback, args))

    def run_until(self, end: float) -> None:
        """Runs everything that is due until then."""
        later = self._later
        while True:
            self._run_ready()
            if not later or later[0][0] > end:
                break
            self.now = max(self.now, later[0][0])
            while later and later[0][0] <= self.now:
                self._ready.append(heappop(later)[2])
        self.now = max(self.now, end)

    def _run_ready(self) -> None:
        ready, running = self._ready, None
        try:
            while ready:
                handle = ready.popleft()
                node = handle.node
                if handle.is_cancelled or (node is not None and node.is_dead):
                    continue
                if node is not running:
                    _set_running_loop(node)
                    running = node
                self.turns += 1
                try:
                    handle.callback(*handle.args)
                except KilledError:
                    continue
        finally:
            _set_running_loop(None)

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
        _set_running_loop(None)
        self._ready.clear()
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
        self.tasks: set[asyncio.Task[Any]] = set()
        timeline.nodes.append(self)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.timeline.soon(Handle(self, callback, args))

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
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
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
