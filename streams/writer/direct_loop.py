"""The write loop without any of ours, to measure against: `ROLLCALL_MODE=direct`.

Every command is written, in the order of its NPC, so many NPCs at a time: nothing is coalesced,
nothing fenced, nothing tried again, and an NPC without an agent has simply failed. It offers what
`WriteLoop` offers its caller.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from streams.writer.agents import AgentOf, Agents
from streams.writer.breaker import BreakerState
from streams.writer.clock import Clock, SystemClock
from streams.writer.direct import LabelledStore, overwrite
from streams.writer.herald import Publish
from streams.writer.job import Done
from streams.writer.loop import Standing
from streams.writer.outcome import Effort, result
from streams.writer.stamp import UNKNOWN
from streams.writer.store import AgentMissingError, StoreError
from topics.models import Outcome, UpdateCommand, UpdateResult

log = structlog.get_logger()

CONCURRENCY = 4
"""NPCs written at the same time: one Letta server does most at about four."""


class DirectLoop:
    """Commands in, four requests each, results out. All methods belong to one event loop."""

    def __init__(
        self,
        store: LabelledStore,
        publish: Publish,
        agent_of: AgentOf,
        *,
        concurrency: int = CONCURRENCY,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._publish = publish
        self._agents = Agents(agent_of)
        self._clock = clock or SystemClock()
        self._places = asyncio.Semaphore(concurrency)
        self.limit = concurrency
        self._last: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    age = 0.0
    """Nobody knows: nothing is sorted here."""

    breaker_state = BreakerState.CLOSED
    """It has none: whatever the state of Letta, it is asked."""

    def submit(
        self,
        command: UpdateCommand,
        done: Done,
        origin: object = None,  # noqa: ARG002 - nothing is given up here
        offset: int = UNKNOWN,  # noqa: ARG002 - and nothing is ever late
    ) -> None:
        """Takes a command in, behind the one before it of the same NPC. Never waits."""
        task = asyncio.create_task(self._work(command, done, self._last.get(command.npc_id)))
        self._last[command.npc_id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wake(self, npc_id: str) -> None:
        """The roster changed for an NPC: its agent is asked for anew."""
        self._agents.forget(npc_id)

    def restore(self, command: UpdateCommand, offset: int = UNKNOWN) -> None:
        """Nothing is ever parked here."""

    def withdraw(self, is_mine: Callable[[str], bool]) -> None:
        """Forgets NPCs that are another worker's now."""
        for npc_id in [npc_id for npc_id in self._last if not is_mine(npc_id)]:
            self._last.pop(npc_id).cancel()

    def hand_over(self, npc_id: str, heir: object) -> None:
        """What has been taken ends here."""

    def depths(self) -> Counter[int]:
        """There are no levels."""
        return Counter()

    def standing(self) -> Standing:
        """How much the loop has in hand."""
        return Standing(waiting=len(self._tasks), active=0, parked=0, unannounced=0)

    async def stop(self, timeout: float) -> int:
        """Gives what has been taken so many seconds. Returns commands left."""
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=timeout)
        for task in late:
            task.cancel()
        return len(late)

    async def _work(
        self, command: UpdateCommand, done: Done, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        async with self._places:
            told = await self._written(command)
        await self._publish(told)
        done()
        log.info(
            "command_finished",
            npc_id=told.npc_id,
            reason=str(told.reason),
            outcome=str(told.outcome),
            calls=told.calls,
        )

    async def _written(self, command: UpdateCommand) -> UpdateResult:
        effort = Effort(attempts=1)
        try:
            agent_id = await self._agent_id(command.npc_id, effort)
            return await overwrite(command, agent_id, self._store, self._clock.now, effort)
        except (StoreError, ValueError) as error:
            return result(command, Outcome.FAILED, effort, self._clock.now(), str(error))

    async def _agent_id(self, npc_id: str, effort: Effort) -> str:
        known = self._agents.known(npc_id)
        store = self._store.observed_by(effort.count_call)
        found = known or await self._agents.find(npc_id, store)
        if found is None:
            raise AgentMissingError(f"no Letta agent with the tag npc:{npc_id}")
        return found
