"""One Letta server and the writer's queue in front of it, in virtual time. Pure.

Queue, levels, concurrency limit and cohorts are the writer's own. Those who begin at one moment
share a read; then each writes its blocks at once.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from ops.bench.scale.happenings import Happening
from ops.bench.scale.letta_model import LettaModel
from streams.writer.breaker import Breaker
from streams.writer.gate import Gate
from streams.writer.limit import AdaptiveLimit
from streams.writer.queue import WorkQueue
from streams.writer.shared_reads import MOST


class Age(NamedTuple):
    """How old a change was when the memory knew. `at`: when it happened."""

    at: float
    seconds: float
    is_group_watched: bool


@dataclass(slots=True)
class Told:
    """What became of it."""

    ages: list[Age] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    longest_queue: int = 0


@dataclass(slots=True)
class _Npc:
    """An NPC that waits or is worked on. `blocks`: by which its memory differs."""

    news: list[Happening] = field(default_factory=list)
    blocks: int = 0


class VirtualClock:
    """Stands where it is put; all that the gate asks for."""

    def __init__(self) -> None:
        self.time = 0.0

    def steady(self) -> float:
        """Seconds."""
        return self.time

    now = steady

    def call_later(self, seconds: float, then: Any) -> Any:
        """Nobody has to be woken: the server asks when it may go on."""
        raise NotImplementedError


class Server:
    """Plays happenings to their end."""

    def __init__(self, model: LettaModel) -> None:
        self.told = Told()
        self._model = model
        self._clock = VirtualClock()
        self._gate = Gate(Breaker(), AdaptiveLimit(), self._clock, None)
        self._queue: WorkQueue[None] = WorkQueue()
        self._waiting: dict[str, _Npc] = {}
        self._under_way = 0
        """Requests."""
        self._events: list[tuple[float, int, Any]] = []
        self._alarm = 0.0
        """The last time put down for nothing but to look again."""
        self._numbers = count()

    def play(self, happenings: Iterable[Happening], until: float) -> Told:
        """All that happens before `until`; what is unknown by then counts with its age."""
        for one in happenings:
            self._go_on(one.at)
            self._happen(one)
        self._go_on(until)
        for npc in [*self._waiting.values(), *(e[2][1] for e in self._events if e[2])]:
            self._know(npc, until)
        return self.told

    def _happen(self, one: Happening) -> None:
        npc_id = str(one.npc)
        npc = self._waiting.setdefault(npc_id, _Npc())
        npc.news.append(one)
        npc.blocks = max(npc.blocks, one.blocks)
        self._queue.put(npc_id, None, one.level, self._clock.time)
        self.told.longest_queue = max(self.told.longest_queue, len(self._queue))
        self._pump()

    def _go_on(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self._clock.time, _, ended = heappop(self._events)
            if ended is not None:
                self._end(*ended)
            self._pump()
        self._clock.time = until

    def _pump(self) -> None:
        now, begun = self._clock.time, list[str]()
        while self._gate.lets_update(now, len(self._queue)) and (item := self._queue.take(now)):
            self._gate.begins(now)
            begun.append(item[0])
        for start in range(0, len(begun), MOST):
            self._read(begun[start : start + MOST])
        is_full = self._queue.next_ready(now) == now
        self._gate.wanted(is_full=is_full)
        opens = self._gate.next_update(now) if is_full else None
        if opens is not None and opens > max(now, self._alarm):
            self._alarm = opens
            self._later(opens, None)

    def _read(self, npc_ids: list[str]) -> None:
        self.told.calls["read"] += 1
        operation = "read" if len(npc_ids) == 1 else "read of 8"
        seconds = self._model.seconds(operation, self._under_way + 1)
        npcs = [self._waiting.pop(npc_id) for npc_id in npc_ids]
        writes = sum(npc.blocks for npc in npcs)
        self._under_way += writes
        for npc_id, npc in zip(npc_ids, npcs, strict=True):
            times = [self._model.seconds("write", self._under_way) for _ in range(npc.blocks)]
            ends = self._clock.time + seconds + max(times)
            self._later(ends, (npc_id, npc, self._clock.time))

    def _end(self, npc_id: str, npc: _Npc, began: float) -> None:
        now = self._clock.time
        self._under_way -= npc.blocks
        self.told.calls["write"] += npc.blocks
        self.told.updates += 1
        self._know(npc, now)
        self._queue.finish(npc_id, now)
        self._gate.done(npc.blocks, now - began)
        self._gate.ends()

    def _know(self, npc: _Npc, now: float) -> None:
        self.told.ages += [Age(one.at, now - one.at, one.is_group_watched) for one in npc.news]

    def _later(self, at: float, what: Any) -> None:
        heappush(self._events, (at, next(self._numbers), what))
