"""One worker process: a real agent on the simulated Faust app, killable at every step."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from aiokafka.errors import KafkaError

from streams.filter.agent import FilterAgent
from streams.settings import Layout, Settings
from streams.topology import Role
from streams.writer.agent import WriterAgent
from streams.writer.breaker import Breaker
from streams.writer.clock import Timer
from streams.writer.loop import WriteLoop
from streams.writer.queue import Backoff
from tests.simulation.app import App, Broadcast, Consumer
from tests.simulation.kafka import Group, Wire
from tests.simulation.letta import TIMEOUT, SimulatedStore
from tests.simulation.timeline import KilledError, Node

if TYPE_CHECKING:
    from tests.simulation.world import World

AGENTS: dict[Role, Any] = {Role.FILTER: FilterAgent, Role.WRITER: WriterAgent}
CONCURRENCY = 2
SETTINGS = Settings.model_construct(
    letta_concurrency=CONCURRENCY,
    parked_retry_interval=2.0,
    verify_delay=2.0,
    run_patience=2.0,
    drain_timeout=2.0,
    verify_interval=4.0,  # an NPC is reported on every few seconds, and changes within them
    silent_after=8.0,
    force_refresh_interval=100.0,  # within what the filter takes for a clock that is ahead
)
SETTINGS_OF = {layout: SETTINGS.model_copy(update={"layout": layout}) for layout in Layout}
CONNECTION: Any = SimpleNamespace(topic_prefix="")


class Nothing:
    """Metrics and logs that nobody reads."""

    def __call__(self, *_: Any, **__: Any) -> Self:
        return self

    def __getattr__(self, name: str) -> Self:
        setattr(self, name, self)
        return self


NOTHING: Any = Nothing()


class Process:
    """A worker of one role. `doomed_at`: the step at which it is killed, None for none."""

    def __init__(self, world: World, role: Role, name: str, doomed_at: int | None) -> None:
        self.world, self.role, self.name, self.doomed_at = world, role, name, doomed_at
        self.node: Any = Node(world.timeline, name)
        self.node.process = self
        self.wire = Wire()
        self.steps = 0
        self.loop: WriteLoop | None = None
        self.store = SimulatedStore(self)
        group: Group = world.group(role)
        self.consumer = Consumer(self, group)
        self.app = App(self, group)
        self.agent: Any = None
        self.on_node(self._build)

    def _build(self) -> None:
        settings = SETTINGS_OF[self.world.layout]
        self.agent = AGENTS[self.role](self.app, settings, CONNECTION, NOTHING)
        self.agent._broadcast = Broadcast(self, self.agent._broadcast)
        if self.role is Role.FILTER:
            self.agent._flusher._on_failure = leave_process
        take = self.app.agents[self.consumer.group.topic]
        for work in (lambda: take(self.consumer), *self.app.tasks):
            self.node.begin(lambda work=work: self._watched(work()))
        self.world.timeline.after(1.0, self.consumer.keep_committing)

    async def _watched(self, work: Any) -> None:
        try:
            await work
        except KilledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker would have ended
            self.leave(error)

    # steps

    def step(self, what: str) -> None:
        """The process does something the world can see. Raises KilledError where it dies."""
        if self.node.is_dead or not self.survives(what):
            raise KilledError

    def survives(self, what: str) -> bool:
        """The same, for what the world does to the process."""
        if self.node.is_dead:
            return False
        self.steps += 1
        self.say(what)
        if self.doomed_at is not None and self.steps >= self.doomed_at and self.world.is_rough:
            self.kill("crash at a step")
            return False
        return True

    def say(self, what: str) -> None:
        self.world.trace.say(self.name, what)

    def on_node(self, do: Callable[[], Any]) -> None:
        """Runs something as this process, from anywhere."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.node)
        try:
            do()
        except KilledError:
            return
        finally:
            asyncio._set_running_loop(before)

    # the end

    def kill(self, why: str) -> None:
        """As `kill -9` does."""
        if not self.node.is_dead:
            if self.world.random.random() < 0.5:
                self.consumer.hand_in()  # a commit was just on its way
            self.node.is_dead = True
            self.world.trace.fault(why, self.name, f"after {self.steps} steps")
            self.world.died(self)

    def leave(self, error: BaseException | None) -> None:
        """The process ends itself: over Kafka's errors it may."""
        self.say(f"leaves over {error!r}")
        if not isinstance(error, KafkaError):
            self.world.trace.broke(f"{self.name} left over {error!r}")
        self.kill("left by itself")

    def let_go(self) -> None:
        """Unties what holds on to each other; nothing of it may be used any more."""
        for part in (self.agent, self.loop, self.app, self.consumer, self.store, self.node, self):
            if part is not None:
                vars(part).clear()

    async def drain(self) -> None:
        """As SIGTERM does: finish, commit, leave the group."""
        for receive in self.app.on_before_shutdown.receivers:
            await receive()
        self.consumer.commit()
        self.world.trace.fault("stopped", self.name)
        self.node.is_dead = True
        self.world.stopped(self)


class NodeClock:
    """The writer's clock, in virtual time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        return self._process.world.epoch + self._process.world.timeline.now

    def steady(self) -> float:
        return self._process.world.timeline.now

    def call_later(self, seconds: float, then: Callable[[], None]) -> Timer:
        timer: Timer = self._process.node.call_later(seconds, then)
        return timer


def current() -> Process:
    """The process whose code is running."""
    process: Process = asyncio.get_running_loop().process  # type: ignore[attr-defined]
    return process


def leave_process() -> None:
    """In the place of `os._exit`."""
    current().leave(sys.exc_info()[1] or current().world.last_error)
    raise KilledError


def _new_loop(*args: Any, **options: Any) -> WriteLoop:
    process = current()
    chance = process.world.random.random
    options["backoff"] = Backoff(first=0.3, longest=3.0, chance=chance)
    options["breaker"] = Breaker(failures=2, full=CONCURRENCY, longest=2.0, chance=chance)
    options.update(clock=NodeClock(process), log=NOTHING)
    process.loop = WriteLoop(*args, **{**options, **process.world.writer_options})
    return process.loop


class _ErrorLog(Nothing):
    """Notes what was logged as unexpected, for whoever leaves next."""

    def exception(self, *_: Any, **__: Any) -> None:
        current().world.last_error = sys.exc_info()[1]


@contextmanager
def simulated() -> Iterator[None]:
    """Within it the agents build what a simulation can drive."""
    with ExitStack() as stack:
        for where, what in {
            "streams.writer.agent.connect": lambda *_, **__: current().store,
            "streams.writer.agent.WriteLoop": _new_loop,
            "streams.writer.agent.leave_process": leave_process,
            "streams.writer.agent.log": _ErrorLog(),
            "streams.writer.notes_table.is_settled": lambda app: app.process.consumer.is_settled,
            "streams.writer.notes_table.time": lambda: NodeClock(current()).now(),
            "streams.writer.notes_table.log": NOTHING,
            "streams.writer.notes.GRACE": 2 * TIMEOUT + 1.0,
            "streams.filter.agent.is_settled": lambda app: app.process.consumer.is_settled,
            "streams.filter.agent.log": NOTHING,
            "streams.filter.agent.monotonic": lambda: NodeClock(current()).steady(),
            "streams.filter.agent.spare_what_is_here": lambda: None,
            "streams.filter.agent.SURVEY_SECONDS": 2.0,
            "streams.filter.agent.FilterAgent._count_tables": lambda _: None,
            "streams.filter.judge.leave_process": leave_process,
            "streams.flusher.log": _ErrorLog(),
            "streams.reference.log": NOTHING,
        }.items():
            stack.enter_context(patch(where, what))
        yield
