"""Commands in, results out: several NPCs at a time, each by one worker, the newest command only.

Promises, in the order in which a command meets them:

    an older command than one seen before   `outdated`, without asking Letta
    asks for a look that was just taken     `unchanged`, without asking Letta (`confirmed`)
    a newer one while it waits              `superseded`; the newer one takes its place
    many NPCs wait                          the most urgent first, and nobody for ever (`queue`)
    as many wait as may be written at once  they begin together, and share a read (`cohort`)
    its group only goes back and forth      held for a while, if others wait (`flaps`)
    Letta slow, busy, away                  tried again after a growing wait; nobody else waits
    Letta slower for more at a time         so many at a time as it does most for (`limit`)
    Letta away for several NPCs in a row    nobody asks but a probe now and then (`breaker`)
    its Letta agent has a run in progress   waits for the end of it, so long at most (`runs`)
    its agent moves to another server       taken over by that one's loop (`loops`)
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
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from streams.writer.agent_search import AgentSearch
from streams.writer.agents import AgentOf
from streams.writer.breaker import Breaker, BreakerState
from streams.writer.clock import Clock, SystemClock, Timer
from streams.writer.confirmed import Confirmed
from streams.writer.flaps import Flaps
from streams.writer.gate import Gate, Limit
from streams.writer.herald import Herald, Publish
from streams.writer.job import Done, Job
from streams.writer.limit import AdaptiveLimit
from streams.writer.outcome import Effort
from streams.writer.parking import INTERVAL, Parking
from streams.writer.priority import is_news, is_watched, level_of
from streams.writer.queue import Backoff, WorkQueue
from streams.writer.rechecks import DELAY, Recheck
from streams.writer.reconcile import reconcile
from streams.writer.results import Results, Unpark
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

Park = Callable[[UpdateCommand, Mark], Awaitable[None]]
GiveUp = Callable[[UpdateCommand, Mark, PermanentError, Any], Awaitable[None]]
"""Keeps a refused command: as a dead letter, and parked. Gets what `submit` got as its origin."""

_LOOK_LEVEL = level_of(Reason.STALE, is_watched=False)


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


def _nobody(npc_id: str) -> bool:  # noqa: ARG001 - without a roster every member is a player
    return False


class WriteLoop:
    """The writer's workers for one Letta server. All methods belong to one event loop."""

    def __init__(
        self,
        store: BlockStore,
        publish: Publish,
        agent_of: AgentOf,
        park: Park,
        unpark: Unpark,
        *,
        update: Update = reconcile,
        is_npc: Callable[[str], bool] = _nobody,
        limit: Limit | None = None,
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

        `is_npc`: whether a member is an NPC; a group with anybody else goes before others. Without
        `give_up`, a refused command is parked and leaves no dead letter. `recheck_delay` 0: no
        write is looked after; `run_patience` 0: nobody waits for a run to end.
        """
        self._clock = clock or SystemClock()
        self._log = log or structlog.get_logger(__name__)
        self._gate = Gate(breaker or Breaker(), limit or AdaptiveLimit(), self._clock, self._log)
        self._store, self._update = store, update
        self._park, self._give_up, self._is_npc = park, give_up, is_npc
        self._herald = Herald(publish, self._clock, self._log)
        self._queue: WorkQueue[Job] = WorkQueue(backoff)
        self._parking = Parking(look_interval)
        self._search = AgentSearch(store, agent_of, self._parking, self._clock, self._log)
        self._results = Results(self._herald, self._parking, unpark, self._clock, self._log)
        self._newest: dict[str, Mark] = {}
        self._jobs: dict[str, Job] = {}
        """What is worked on, by NPC."""
        self._watch = RunWatch(
            store, self._clock, self._log, patience=run_patience, delay=recheck_delay
        )
        self._confirmed, self._flaps = Confirmed(), Flaps()
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
        now = self._clock.steady()
        watched = is_watched(command.desired, self._is_npc)
        self._accept(Job(command, mark_of(command, offset), done, now, watched, origin), now)

    def _accept(self, job: Job, now: float) -> None:
        command, newest = job.command, self._newest.get(job.command.npc_id)
        if newest is not None and is_before(job.mark, newest):
            self._results.tell(job, Outcome.OUTDATED)
            return
        self._newest[command.npc_id] = job.mark
        if command.npc_id not in self._queue and self._confirmed.spares(command, now):
            self._results.tell(job, Outcome.UNCHANGED)
            return
        self._enqueue(job, now)
        self._pump()

    def _enqueue(self, job: Job, now: float) -> None:
        npc_id = job.command.npc_id
        self._watch.reads(npc_id)
        older = self._queue.put(npc_id, job, job.level, now, self._hold(job.command, now))
        job.effort.has_rivals = older is not None or npc_id in self._jobs
        self._results.supersede(older)

    def _hold(self, command: UpdateCommand, now: float) -> float:
        """Seconds to wait first: for a group that goes back and forth while others wait."""
        if not is_news(command.reason):
            return 0.0
        return self._flaps.hold(command.npc_id, command.desired, self._queue.age(now), now)

    def wake(self, npc_id: str) -> None:
        """The roster changed for an NPC: its agent is asked for anew."""
        self._search.forget(npc_id)
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
            self._forget(npc_id)

    def _forget(self, npc_id: str) -> None:
        self._newest.pop(npc_id, None)
        for known in (self._watch, self._search, self._confirmed, self._flaps):
            known.forget(npc_id)
        self._parking.free(npc_id)

    def hand_over(self, npc_id: str, heir: "WriteLoop") -> None:
        """The NPC's agent is on another server: that one's loop takes over what is left to do.

        What is under way ends here first, and is taken over then, so that its record is acked once.
        """
        waiting, spot = self._queue.withdraw([npc_id]), self._parking.spot(npc_id)
        if npc_id in self._jobs:
            self._jobs[npc_id].heir = heir.adopt
        self._forget(npc_id)
        if spot is not None:
            heir.restore(spot.command, spot.mark.offset)
        for job in waiting:
            heir.adopt(job)

    def adopt(self, job: Job) -> None:
        """Another loop's command. One whose result is out is carried out here all the same."""
        newest = self._newest.get(job.command.npc_id)
        is_told_and_old = job.done is None and newest is not None and is_before(job.mark, newest)
        if not (self._is_stopping or job.is_recheck or is_told_and_old):
            self._accept(replace(job, effort=Effort(), heir=None), self._clock.steady())

    def standing(self) -> Standing:
        """How much the loop has in hand."""
        waiting, active = len(self._queue), self._queue.active
        return Standing(waiting, active, len(self._parking), self._herald.pending)

    def depths(self) -> Counter[int]:
        """NPCs waiting by level; see `priority`."""
        return self._queue.depths()

    @property
    def age(self) -> float:
        """Seconds for which the oldest work has waited that may begin."""
        return self._queue.age(self._clock.steady())

    @property
    def limit(self) -> int:
        """NPCs that may be written at the same time."""
        return self._gate.limit

    @property
    def breaker_state(self) -> BreakerState:
        """Whether Letta may be asked."""
        return self._gate.state

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
        while self._gate.lets_update(now, len(self._queue)) and (item := self._next(now)):
            self._begin(now, *item)
        self._gate.wanted(is_full=self._queue.next_ready(now) == now)
        look_at = self._search.next_look()
        if self._may_look(now) and look_at is not None and look_at <= now:
            self._look = self._begin_look(self._look_for_agents())
        due = self._watch.next_due()
        if self._may_recheck(now) and due is not None and due <= now:
            self._recheck = self._begin_look(self._look_after_writes())
        self._set_alarm(now)

    def _may_look(self, now: float) -> bool:
        return self._look is None and self._gate.lets_look(now)

    def _may_recheck(self, now: float) -> bool:
        return self._recheck is None and self._gate.lets_look(now)

    def _next(self, now: float) -> tuple[str, Job] | None:
        return self._queue.take_any(now) if self._gate.is_probe(now) else self._queue.take(now)

    def _begin(self, now: float, npc_id: str, job: Job) -> None:
        job.begun_at = now
        self._gate.begins(now)
        task = asyncio.create_task(self._work(npc_id, job))
        self._workers.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._gate.ends()
        self._pump()

    def _begin_look(self, look: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._gate.looks += 1
        return asyncio.create_task(look)

    def _end_look(self) -> None:
        self._gate.looks -= 1
        self._pump()

    def _set_alarm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        when = self._next_time(now)
        later = self._clock.call_later
        self._timer = later(max(when - now, 0.0), self._pump) if when is not None else None

    def _next_time(self, now: float) -> float | None:
        """When something may begin that cannot now, and that no end of other work will begin."""
        opens_at = self._gate.opens_at(now)
        if opens_at > now:
            has_work = len(self._queue) or self._search.next_look() is not None
            return opens_at if has_work or self._watch.next_due() is not None else None
        ready, may_begin = self._queue.next_ready(now), self._gate.next_update(now)
        work = max(ready, may_begin) if ready is not None and may_begin is not None else None
        look = self._search.next_look() if self._may_look(now) else None
        recheck = self._watch.next_due() if self._may_recheck(now) else None
        return min((when for when in (work, look, recheck) if when is not None), default=None)

    async def _work(self, npc_id: str, job: Job) -> None:
        self._jobs[npc_id] = job
        try:
            await self._attend(npc_id, job)
        finally:
            del self._jobs[npc_id]

    async def _attend(self, npc_id: str, job: Job) -> None:
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
            self._finish(npc_id, job, finished)

    def _finish(self, npc_id: str, job: Job, finished: UpdateResult) -> None:
        now = self._clock.steady()
        self._queue.finish(npc_id, now)
        self._gate.done(len(finished.blocks), now - job.begun_at)
        self._confirmed.verified(job.command, finished.outcome, now)
        self._look_after(job, finished)
        if not job.is_recheck or finished.outcome is Outcome.REPAIRED:
            self._results.tell_result(job, finished)
        if job.heir is not None and not job.is_withdrawn:
            job.heir(replace(job, done=None))

    async def _ask(self, npc_id: str, job: Job) -> UpdateResult:
        """An attempt, and what the breaker learns from it."""
        calls = job.effort.calls
        try:
            finished = await self._attempt(job)
        except ConflictError:
            self._answered()
            raise
        except TemporaryError as error:
            self._gate.unanswered(npc_id, error)
            raise
        except PermanentError:
            if job.effort.calls > calls:
                self._answered()
            raise
        self._answered()
        return finished

    def _answered(self) -> None:
        if self._gate.answered(len(self._queue)):
            self._queue.release(self._clock.steady())

    async def _attempt(self, job: Job) -> UpdateResult:
        npc_id = job.command.npc_id
        agent_id = self._search.known(npc_id)
        if agent_id is not None:
            await self._wait_for_run(agent_id, job)
            try:
                return await self._update_agent(job, agent_id)
            except AgentMissingError:
                self._log.info("agent_missing", npc_id=npc_id, agent_id=agent_id)
        return await self._update_agent(job, await self._search.by_tag(npc_id, job.effort))

    async def _update_agent(self, job: Job, agent_id: str) -> UpdateResult:
        try:
            return await self._update(
                job.command, agent_id, self._store, self._clock.now, job.effort, job.mark
            )
        except AgentMissingError:
            self._search.gone(job.command.npc_id, agent_id)
            raise

    # -- runs of agents ----------------------------------------------------------------------------

    async def _wait_for_run(self, agent_id: str, job: Job) -> None:
        """Raises _BusyError while the agent has a run in progress, as long as we wait for that."""
        if not job.is_recheck and await self._watch.is_busy(job.command.npc_id, agent_id):
            raise _BusyError

    def _postpone(self, npc_id: str, job: Job) -> None:
        if self._is_anothers(npc_id, job):
            return
        job.effort.attempts -= 1
        now, level = self._clock.steady(), job.level
        self._results.supersede(self._queue.postpone(npc_id, job, level, now, PAUSE))

    def _look_after(self, job: Job, finished: UpdateResult) -> None:
        """Somebody looks at what was written again, unless newer work does anyway."""
        if job.is_withdrawn or job.heir is not None:
            return
        agent_id = self._search.known(finished.npc_id)
        has_written = finished.outcome in (Outcome.APPLIED, Outcome.REPAIRED)
        if agent_id is not None and finished.npc_id not in self._queue:
            self._watch.done(job.command, job.mark, agent_id, has_written=has_written)

    async def _look_after_writes(self) -> None:
        try:
            writes = await self._watch.due()
        except StoreError as error:
            self._gate.unanswered("", error)
        else:
            for write in writes:
                self._queue_recheck(write)
        finally:
            self._recheck = None
            self._end_look()

    def _queue_recheck(self, write: Recheck) -> None:
        npc_id, now = write.command.npc_id, self._clock.steady()
        if npc_id not in self._queue:
            command = msgspec.structs.replace(write.command, reason=Reason.VERIFY)
            job = Job(command, write.mark, None, now, is_recheck=True)
            self._queue.put(npc_id, job, job.level, now)

    def _is_anothers(self, npc_id: str, job: Job) -> bool:
        """Whether the NPC has become another worker's meanwhile, which has the command as well, or
        another loop's, which takes it over.
        """
        if not job.is_withdrawn and job.heir is None:
            return False
        self._queue.finish(npc_id, self._clock.steady())
        if job.heir is not None and not job.is_withdrawn:
            job.heir(job)
        return True

    def _try_again(self, npc_id: str, job: Job, error: TemporaryError) -> None:
        if self._is_anothers(npc_id, job):
            return
        now, level = self._clock.steady(), job.level
        if job.effort.is_doubtful:
            self._watch.doubt(npc_id)
        self._results.supersede(self._queue.retry(npc_id, job, level, now, error.delay))
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

    async def _park_job(self, npc_id: str, job: Job, why: PermanentError) -> None:
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
        self._results.tell(job, Outcome.FAILED, f"parked: {why}" if is_missing else str(why))

    async def _keep(self, job: Job, why: PermanentError) -> None:
        if isinstance(why, AgentMissingError) or self._give_up is None:
            await self._park(job.command, job.mark)
        else:
            await self._give_up(job.command, job.mark, why, job.origin)

    async def _look_for_agents(self) -> None:
        """Those whose agents are there by now are taken up again."""
        try:
            found = await self._search.look()
        except TemporaryError as error:
            self._gate.unanswered("", error)
        else:
            if found is not None:
                self._answered()
            for npc_id in found or ():
                self._unpark_to_queue(npc_id)
        finally:
            self._look = None
            self._end_look()

    def _unpark_to_queue(self, npc_id: str) -> None:
        """The command stays parked until it is done: a restart would find it there."""
        spot = self._parking.spot(npc_id)
        if spot is not None and npc_id not in self._queue:
            now = self._clock.steady()
            self._queue.put(npc_id, Job(spot.command, spot.mark, None, now), _LOOK_LEVEL, now)


async def _finished(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Waits so long for tasks, then cancels them."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
