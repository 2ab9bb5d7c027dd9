"""Commands in, results out: several NPCs at a time, each by one worker, the newest command only.

Promises, in the order in which a command meets them:

    an older command than one seen before   `outdated`, without asking Letta
    a newer one while it waits              `superseded`; the newer one takes its place
    Letta slow, busy, away                  tried again after a growing wait; nobody else waits
    Letta away for several NPCs in a row    nobody asks but a probe now and then (`breaker`)
    its Letta agent has a run in progress   waits for the end of it, so long at most (`runs`)
    no Letta agent                          parked durably, `failed`; done for real once there is
    refused by Letta, or impossible         a dead letter, parked durably, `failed` with the reason
    a fault of our own                      the same, and a log line with the place

A write is looked after when its agent had a run meanwhile (`rechecks`): what that reverted is
repaired, and told as a result of its own, `repaired`, without a `done`.

`done` of a command is called once, after its result has been acknowledged. What was not done when
the loop stopped has no result, and Kafka brings it again. A command that keeps failing for now is
tried until it works or a newer one supersedes it: consumer lag shows it meanwhile.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from streams.writer.agents import AgentOf, Agents
from streams.writer.breaker import Breaker, BreakerState
from streams.writer.clock import Clock, SystemClock, Timer
from streams.writer.herald import Herald, Publish
from streams.writer.outcome import Effort, result
from streams.writer.parking import INTERVAL, Parking, Spot
from streams.writer.queue import Backoff, WorkQueue
from streams.writer.rechecks import DELAY, Recheck
from streams.writer.reconcile import reconcile
from streams.writer.run_watch import PATIENCE, PAUSE, RunWatch
from streams.writer.stamp import UNKNOWN, Mark, is_before, mark_of
from streams.writer.store import (
    AgentMissingError,
    BlockStore,
    ConflictError,
    PermanentError,
    StoreError,
    TemporaryError,
)
from topics.models import Outcome, Reason, UpdateCommand, UpdateResult

Done = Callable[[], None]
Park = Callable[[UpdateCommand, Mark], Awaitable[None]]
Unpark = Callable[[str], Awaitable[None]]
GiveUp = Callable[[UpdateCommand, Mark, PermanentError, Any], Awaitable[None]]
"""Keeps a refused command: as a dead letter, and parked. Gets what `submit` got as its origin."""

CONCURRENCY = 4
"""NPCs written at the same time: one Letta server does most at about four."""

LEVELS = {
    Reason.FIRST_SEEN: 0,
    Reason.MEMBERS: 0,
    Reason.LOCATION: 1,
    Reason.ACTION: 1,
    Reason.PROFILE: 2,
    Reason.STALE: 3,
    Reason.FORCE_REFRESH: 4,
    Reason.VERIFY: 4,
}
"""How urgent a reason is, 0 the most."""

_LOOK_LEVEL = 4


class _BusyError(Exception):
    """The agent has a run in progress; it would write old values over ours."""


class Update(Protocol):
    """`reconcile`, or what stands in for it."""

    def __call__(
        self,
        command: UpdateCommand,
        agent_id: str,
        store: Any,
        now: Callable[[], float],
        effort: Effort,
        mark: Mark,
    ) -> Awaitable[UpdateResult]: ...


class Standing(NamedTuple):
    """What the loop has in hand."""

    waiting: int
    active: int
    parked: int
    unannounced: int
    """Results not acknowledged yet."""


@dataclass(slots=True)
class _Job:
    command: UpdateCommand
    mark: Mark
    done: Done | None
    """None: the command was parked, its result is out and its offset settled."""
    submitted_at: float
    origin: Any = None
    effort: Effort = field(default_factory=Effort)
    is_parking: bool = False
    is_withdrawn: bool = False
    """The NPC has become another worker's: what was begun is finished, and not begun again."""
    is_recheck: bool = False
    """Looks after a write of ours: nobody waits for it, and it says something only if it must."""


class WriteLoop:
    """The writer's workers. All methods belong to one event loop."""

    def __init__(
        self,
        store: BlockStore,
        publish: Publish,
        agent_of: AgentOf,
        park: Park,
        unpark: Unpark,
        *,
        update: Update = reconcile,
        concurrency: int = CONCURRENCY,
        look_interval: float = INTERVAL,
        backoff: Backoff | None = None,
        breaker: Breaker | None = None,
        give_up: GiveUp | None = None,
        recheck_delay: float = DELAY,
        run_patience: float = PATIENCE,
        clock: Clock | None = None,
        log: Any = None,
    ) -> None:
        """`park`, `unpark`: keep a parked command where a restart finds it. Times in seconds.

        Without `give_up`, a refused command is parked and leaves no dead letter. `recheck_delay` 0:
        no write is looked after; `run_patience` 0: nobody waits for a run to end.
        """
        self.concurrency = concurrency
        self._store, self._update = store, update
        self._park, self._unpark, self._give_up = park, unpark, give_up
        self._breaker = breaker or Breaker(full=concurrency)
        self._clock = clock or SystemClock()
        self._log = log or structlog.get_logger(__name__)
        self._herald = Herald(publish, self._clock, self._log)
        self._queue: WorkQueue[_Job] = WorkQueue(backoff)
        self._agents, self._parking = Agents(agent_of), Parking(look_interval)
        self._newest: dict[str, Mark] = {}
        self._jobs: dict[str, _Job] = {}
        """What is worked on, by NPC."""
        self._watch = RunWatch(
            store, self._clock, self._log, patience=run_patience, delay=recheck_delay
        )
        self._recheck: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._look: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._is_stopping = False

    def submit(
        self, command: UpdateCommand, done: Done, origin: Any = None, offset: int = UNKNOWN
    ) -> None:
        """Takes a command in. `done` is called once its fate is published. Never waits.

        `origin`: handed on to `give_up`, where the command is refused. `offset`: the command's own.
        """
        if self._is_stopping:
            return
        npc_id, mark = command.npc_id, mark_of(command, offset)
        job = _Job(command, mark, done, self._clock.steady(), origin)
        newest = self._newest.get(npc_id)
        if newest is not None and is_before(mark, newest):
            self._tell(job, Outcome.OUTDATED)
            return
        self._newest[npc_id] = mark
        self._watch.reads(npc_id)
        older = self._queue.put(npc_id, job, LEVELS[command.reason], self._clock.steady())
        job.effort.has_rivals = older is not None or npc_id in self._jobs
        self._supersede(older)
        self._pump()

    def wake(self, npc_id: str) -> None:
        """The roster changed for an NPC: its agent is asked for anew."""
        self._agents.forget(npc_id)
        self._parking.look(npc_id)
        self._unpark_to_queue(npc_id)
        self._pump()

    def restore(self, command: UpdateCommand, offset: int = UNKNOWN) -> None:
        """A command that was parked before the last stop; its result is out already."""
        self._parking.put(command, mark_of(command, offset))
        self._pump()

    def withdraw(self, is_mine: Callable[[str], bool]) -> None:
        """Forgets NPCs that are another worker's now. Writes that have begun are finished."""
        others = {*self._queue.waiting(), *self._parking.npc_ids(), *self._newest}
        others = {npc_id for npc_id in others if not is_mine(npc_id)}
        self._queue.withdraw(others)
        for npc_id in [npc_id for npc_id in self._jobs if not is_mine(npc_id)]:
            self._jobs[npc_id].is_withdrawn = True
        for npc_id in others:
            self._parking.free(npc_id)
            self._newest.pop(npc_id, None)
            self._watch.forget(npc_id)
            self._agents.forget(npc_id)

    def standing(self) -> Standing:
        """How much the loop has in hand."""
        waiting, active = len(self._queue), self._queue.active
        return Standing(waiting, active, len(self._parking), self._herald.pending)

    @property
    def breaker_state(self) -> BreakerState:
        """Whether Letta may be asked."""
        return self._breaker.state(self._clock.steady())

    async def stop(self, seconds: float) -> int:
        """Begins nothing new and gives what has begun so many seconds. Returns commands left."""
        self._is_stopping = True
        deadline = asyncio.get_running_loop().time() + seconds
        if self._timer is not None:
            self._timer.cancel()
        begun = [*self._workers, *filter(None, [self._look, self._recheck]), *self._watch.tasks()]
        await _finished(begun, seconds)
        left = deadline - asyncio.get_running_loop().time()
        await _finished(self._herald.tasks(), max(left, 0.0))
        return len(self._queue) + self._queue.active + self._herald.pending

    # -- work --------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begins whatever may begin, and sets the alarm for what comes next."""
        if self._is_stopping:
            return
        now = self._clock.steady()
        while self._has_room(now) and (item := self._next(now)):
            self._begin(self._work(*item))
        look_at = self._parking.next_look()
        if self._may_look(now) and look_at is not None and look_at <= now:
            self._look = asyncio.create_task(self._look_for_agents())
        due = self._watch.next_due()
        if self._may_recheck(now) and due is not None and due <= now:
            self._recheck = asyncio.create_task(self._look_after_writes())
        self._set_alarm(now)

    def _has_room(self, now: float) -> bool:
        return len(self._workers) < self.concurrency and self._in_flight < self._breaker.room(now)

    def _may_look(self, now: float) -> bool:
        return self._look is None and self._in_flight < self._breaker.room(now)

    def _may_recheck(self, now: float) -> bool:
        return self._recheck is None and self._in_flight < self._breaker.room(now)

    @property
    def _in_flight(self) -> int:
        others = (self._look, self._recheck)
        return len(self._workers) + sum(task is not None for task in others)

    def _next(self, now: float) -> tuple[str, _Job] | None:
        return self._queue.take_any(now) if self._breaker.is_probe(now) else self._queue.take(now)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._workers.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._pump()

    def _set_alarm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        when = self._next_time(now)
        later = self._clock.call_later
        self._timer = later(max(when - now, 0.0), self._pump) if when is not None else None

    def _next_time(self, now: float) -> float | None:
        """When something may begin that cannot now, and that no end of other work will begin."""
        opens_at = self._breaker.opens_at(now)
        if opens_at > now:
            has_work = len(self._queue) or self._parking.next_look() is not None
            return opens_at if has_work or self._watch.next_due() is not None else None
        work = self._queue.next_ready(now) if self._has_room(now) else None
        look = self._parking.next_look() if self._may_look(now) else None
        recheck = self._watch.next_due() if self._may_recheck(now) else None
        return min((when for when in (work, look, recheck) if when is not None), default=None)

    async def _work(self, npc_id: str, job: _Job) -> None:
        self._jobs[npc_id] = job
        try:
            await self._attend(npc_id, job)
        finally:
            del self._jobs[npc_id]

    async def _attend(self, npc_id: str, job: _Job) -> None:
        job.effort.attempts += 1
        try:
            finished = await self._ask(npc_id, job)
        except _BusyError:
            self._postpone(npc_id, job)
        except TemporaryError as error:
            self._try_again(npc_id, job, error)
        except PermanentError as error:
            await self._park_job(npc_id, job, error)
        except Exception as error:  # noqa: BLE001 - a fault in one NPC's update stops no other's
            await self._park_job(npc_id, job, PermanentError(self._fault(npc_id, error)))
        else:
            self._queue.finish(npc_id, self._clock.steady())
            self._look_after(job, finished)
            if not job.is_recheck or finished.outcome is Outcome.REPAIRED:
                self._tell_result(job, finished)

    async def _ask(self, npc_id: str, job: _Job) -> UpdateResult:
        """An attempt, and what the breaker learns from it."""
        calls = job.effort.calls
        try:
            finished = await self._attempt(job)
        except ConflictError:
            self._answered()
            raise
        except TemporaryError as error:
            self._unanswered(npc_id, error)
            raise
        except PermanentError:
            if job.effort.calls > calls:
                self._answered()
            raise
        self._answered()
        return finished

    def _answered(self) -> None:
        now, before = self._clock.steady(), self.breaker_state
        if self._breaker.succeeded(now):
            self._queue.release(now)
        if before is not BreakerState.CLOSED and self.breaker_state is BreakerState.CLOSED:
            seconds = round(self._breaker.open_seconds(now), 3)
            self._log.info("breaker_closed", seconds=seconds, waiting=len(self._queue))

    def _unanswered(self, who: str, error: StoreError) -> None:
        now, before = self._clock.steady(), self.breaker_state
        self._breaker.failed(who, now, error.delay if isinstance(error, TemporaryError) else None)
        if before is BreakerState.CLOSED and self.breaker_state is BreakerState.OPEN:
            probe_in = round(self._breaker.opens_at(now) - now, 3)
            self._log.warning("breaker_opened", error=str(error), probe_in=probe_in)

    async def _attempt(self, job: _Job) -> UpdateResult:
        npc_id = job.command.npc_id
        agent_id = self._agents.known(npc_id)
        if agent_id is not None:
            await self._wait_for_run(agent_id, job)
            try:
                return await self._update_agent(job, agent_id)
            except AgentMissingError:
                self._log.info("agent_missing", npc_id=npc_id, agent_id=agent_id)
        return await self._update_agent(job, await self._agent_by_tag(job))

    async def _update_agent(self, job: _Job, agent_id: str) -> UpdateResult:
        try:
            return await self._update(
                job.command, agent_id, self._store, self._clock.now, job.effort, job.mark
            )
        except AgentMissingError:
            self._agents.gone(job.command.npc_id, agent_id)
            raise

    async def _agent_by_tag(self, job: _Job) -> str:
        npc_id = job.command.npc_id
        if self._parking.is_due(npc_id, self._clock.steady()):
            store = self._store.observed_by(job.effort.count_call)
            agent_id = await self._agents.find(npc_id, store)
            if agent_id is not None:
                return agent_id
        raise AgentMissingError(f"no Letta agent of the roster's, none with the tag npc:{npc_id}")

    # -- runs of agents ----------------------------------------------------------------------------

    async def _wait_for_run(self, agent_id: str, job: _Job) -> None:
        """Raises _BusyError while the agent has a run in progress, as long as we wait for that."""
        if not job.is_recheck and await self._watch.is_busy(job.command.npc_id, agent_id):
            raise _BusyError

    def _postpone(self, npc_id: str, job: _Job) -> None:
        if self._is_anothers(npc_id, job):
            return
        job.effort.attempts -= 1
        now, level = self._clock.steady(), LEVELS[job.command.reason]
        self._supersede(self._queue.postpone(npc_id, job, level, now, PAUSE))

    def _look_after(self, job: _Job, finished: UpdateResult) -> None:
        """Somebody looks at what was written again, unless newer work does anyway."""
        if job.is_withdrawn:
            return
        agent_id = self._agents.known(finished.npc_id)
        has_written = finished.outcome in (Outcome.APPLIED, Outcome.REPAIRED)
        if agent_id is not None and finished.npc_id not in self._queue:
            self._watch.done(job.command, job.mark, agent_id, has_written=has_written)

    async def _look_after_writes(self) -> None:
        try:
            writes = await self._watch.due()
        except StoreError as error:
            self._unanswered("", error)
        else:
            for write in writes:
                self._queue_recheck(write)
        finally:
            self._recheck = None
            self._pump()

    def _queue_recheck(self, write: Recheck) -> None:
        npc_id, now = write.command.npc_id, self._clock.steady()
        if npc_id not in self._queue:
            command = msgspec.structs.replace(write.command, reason=Reason.VERIFY)
            job = _Job(command, write.mark, None, now, is_recheck=True)
            self._queue.put(npc_id, job, LEVELS[Reason.VERIFY], now)

    def _is_anothers(self, npc_id: str, job: _Job) -> bool:
        """Whether the NPC has become another worker's meanwhile: it has the command as well."""
        if job.is_withdrawn:
            self._queue.finish(npc_id, self._clock.steady())
        return job.is_withdrawn

    def _try_again(self, npc_id: str, job: _Job, error: TemporaryError) -> None:
        if self._is_anothers(npc_id, job):
            return
        now, level = self._clock.steady(), LEVELS[job.command.reason]
        if job.effort.is_doubtful:
            self._watch.doubt(npc_id)
        self._supersede(self._queue.retry(npc_id, job, level, now, error.delay))
        self._log.warning(
            "command_delayed", npc_id=npc_id, attempts=job.effort.attempts, error=str(error)
        )

    def _fault(self, npc_id: str, error: Exception) -> str:
        """Told by kind and place: an error's own text may quote a block."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.name}:{place.lineno}"
        self._log.error("command_crashed", npc_id=npc_id, kind=type(error).__name__, where=where)
        return f"a fault of the writer: {type(error).__name__} in {where}"

    # -- NPCs without an agent, or refused ---------------------------------------------------------

    async def _park_job(self, npc_id: str, job: _Job, why: PermanentError) -> None:
        """A command that was parked before is not kept again, nor is its result told again."""
        if self._is_anothers(npc_id, job):
            return
        if job.is_recheck:
            self._queue.finish(npc_id, self._clock.steady())
            self._log.info("recheck_failed", npc_id=npc_id, error=str(why))
            return
        try:
            if job.done is not None:
                await self._keep(job, why)
        except Exception as error:  # noqa: BLE001 - whatever a producer raises, try again
            kind = type(error).__name__
            self._try_again(npc_id, job, TemporaryError(f"could not park: {kind}"))
            return
        is_missing = isinstance(why, AgentMissingError)
        if is_missing:
            self._parking.put(job.command, job.mark, self._clock.steady())
        else:
            self._parking.refuse(job.command, job.mark)
        self._queue.finish(npc_id, self._clock.steady())
        if job.done is None:
            self._log.info("still_parked", npc_id=npc_id, error=str(why))
            return
        job.is_parking = True
        self._tell(job, Outcome.FAILED, f"parked: {why}" if is_missing else str(why))

    async def _keep(self, job: _Job, why: PermanentError) -> None:
        if isinstance(why, AgentMissingError) or self._give_up is None:
            await self._park(job.command, job.mark)
        else:
            await self._give_up(job.command, job.mark, why, job.origin)

    async def _look_for_agents(self) -> None:
        npc_ids = self._parking.batch(self._clock.steady())
        try:
            found = await self._store.find_agents(npc_ids) if npc_ids else {}
        except StoreError as error:
            if isinstance(error, TemporaryError):
                self._unanswered("", error)
            self._log.info("look_failed", npcs=len(npc_ids), error=str(error))
        else:
            if npc_ids:
                self._answered()
            for npc_id, agent_id in found.items():
                self._agents.found(npc_id, agent_id)
                self._unpark_to_queue(npc_id)
        finally:
            self._look = None
            self._pump()

    def _unpark_to_queue(self, npc_id: str) -> None:
        """The command stays parked until it is done: a restart would find it there."""
        spot = self._parking.spot(npc_id)
        if spot is not None and npc_id not in self._queue:
            now = self._clock.steady()
            self._queue.put(npc_id, _Job(spot.command, spot.mark, None, now), _LOOK_LEVEL, now)

    # -- results -----------------------------------------------------------------------------------

    def _supersede(self, job: _Job | None) -> None:
        if job is not None and job.done is not None:
            self._tell(job, Outcome.SUPERSEDED)

    def _result(self, job: _Job, outcome: Outcome, error: str | None = None) -> UpdateResult:
        return result(job.command, outcome, job.effort, self._clock.now(), error)

    def _tell(self, job: _Job, outcome: Outcome, error: str | None = None) -> None:
        self._tell_result(job, self._result(job, outcome, error))

    def _tell_result(self, job: _Job, told: UpdateResult) -> None:
        self._herald.tell(told, lambda: self._settle(job, told))

    async def _settle(self, job: _Job, told: UpdateResult) -> None:
        if not job.is_parking and told.outcome is not Outcome.SUPERSEDED:
            await self._leave_parking(told.npc_id, job)
        if job.done is not None:
            job.done()
        self._log_finished(job, told)

    async def _leave_parking(self, npc_id: str, job: _Job) -> None:
        parked = self._parking.spot(npc_id)
        if parked is None or not _is_settled_by(parked, job):
            return
        self._parking.free(npc_id)
        await self._herald.until_done("not_unparked", npc_id, lambda: self._unpark(npc_id))

    def _log_finished(self, job: _Job, told: UpdateResult) -> None:
        say = self._log.debug if told.outcome is Outcome.SUPERSEDED else self._log.info
        say(
            "command_finished",
            npc_id=told.npc_id,
            reason=str(told.reason),
            outcome=str(told.outcome),
            calls=told.calls,
            blocks=list(told.blocks),
            conflicts=len(told.conflicts),
            attempts=told.attempts,
            seconds=round(self._clock.steady() - job.submitted_at, 3),
            **({"error": told.error} if told.error else {}),
        )


def _is_settled_by(parked: Spot, finished: _Job) -> bool:
    """A command parked meanwhile is newer than the one whose result goes out, and stays."""
    is_same = parked.command.command_id == finished.command.command_id
    return is_same or not is_before(finished.mark, parked.mark)


async def _finished(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Waits so long for tasks, then cancels them."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
