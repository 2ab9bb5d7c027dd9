"""Keeps the writer and the runs of its agents out of each other's way; `runs` says why.

    before a write   an NPC whose agent has a run in progress waits for its end, `patience` at most
    after a write    an NPC whose agent has had one is looked at again (`rechecks`)

Both go by the same look at the runs of all agents: one request, that serves whoever asks while it
is fresh. A Letta that does not list its runs holds up nobody; then every write is looked after.
"""

import asyncio
from typing import Any

from streams.writer.clock import Clock
from streams.writer.rechecks import Recheck, Rechecks
from streams.writer.runs import Runs
from streams.writer.stamp import Mark
from streams.writer.store import BlockStore, PermanentError, StoreError, TemporaryError
from topics.models import UpdateCommand

PATIENCE = 10.0
"""Seconds an NPC waits for its agent's run to end before it is written all the same."""

PAUSE = 0.5
"""Seconds between two tries of an NPC whose agent has a run in progress."""

_DOUBTS = 2
"""Looks after a write that was given up without an answer."""

_UNKNOWN_FOR = 60.0
_UNASKED_FOR = 10.0
_FAILING_FOR = 30.0
_RETRY = 1.0


class RunWatch:
    """What the writer asks about runs. `patience`, `delay`: seconds; 0 for never."""

    def __init__(
        self, store: BlockStore, clock: Clock, log: Any, *, patience: float, delay: float
    ) -> None:
        self._store, self._clock, self._log = store, clock, log
        self._patience = patience
        self._runs, self._rechecks = Runs(), Rechecks(delay)
        self._busy_since: dict[str, float] = {}
        """When an NPC that waits for its agent's run began to."""
        self._doubted: set[str] = set()
        """NPCs for whom a write was given up without an answer."""
        self._untold_until = 0.0
        """Letta does not list its runs, as far as we know."""
        self._unasked_until = 0.0
        """Before a write nobody asks: the last request failed."""
        self._failing_since: float | None = None
        """Since when looks after writes fail."""
        self._not_before = 0.0
        """Of the next look after writes."""
        self._asking: asyncio.Task[None] | None = None

    # before a write

    async def is_busy(self, npc_id: str, agent_id: str) -> bool:
        """Whether to wait: the agent has a run in progress, and our patience lasts."""
        if not self._patience or not await self._knows_runs():
            return False
        now = self._clock.steady()
        waits = now - self._busy_since.setdefault(npc_id, now) < self._patience
        is_busy = waits and self._runs.is_running(agent_id)
        if not is_busy:
            del self._busy_since[npc_id]  # the next wait is for another run, or as long again
        return is_busy

    # after a write

    def doubt(self, npc_id: str) -> None:
        """A write of ours was given up without an answer; it may land yet."""
        self._doubted.add(npc_id)

    def done(self, command: UpdateCommand, mark: Mark, agent_id: str, *, has_written: bool) -> None:
        """A command was carried out: what it wrote, or an earlier write in doubt, is followed."""
        doubts = (
            _DOUBTS if command.npc_id in self._doubted else self._rechecks.doubts(command.npc_id)
        )
        self._doubted.discard(command.npc_id)
        if has_written or doubts:
            write = Recheck(command, mark, agent_id, self._runs.looks, doubts)
            self._rechecks.put(write, self._clock.steady())

    def reads(self, npc_id: str) -> None:
        """A newer command reads the NPC's memory anyway; what is in doubt may land after that."""
        if self._rechecks.doubts(npc_id):
            self._doubted.add(npc_id)
        self._rechecks.forget(npc_id)

    def forget(self, npc_id: str) -> None:
        """The NPC is another worker's now."""
        self._rechecks.forget(npc_id)
        self._busy_since.pop(npc_id, None)
        self._doubted.discard(npc_id)

    def next_due(self) -> float | None:
        """When to look after writes; None: there is none."""
        due = self._rechecks.next_due()
        return None if due is None else max(due, self._not_before)

    async def due(self) -> list[Recheck]:
        """The writes to be looked after now. Raises TemporaryError; then not again for a second,
        and after half a minute of that all of them count, for nobody tells of runs.

        One look serves all that came due since the last, a delay ago.
        """
        if self._is_told:
            self._not_before = self._clock.steady() + _RETRY
            await self._ask_unless_it_keeps_failing()
        self._not_before = self._clock.steady() + self._rechecks.delay
        runs = self._runs if self._is_told else None
        return self._rechecks.take_due(self._clock.steady(), runs)

    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way."""
        return [self._asking] if self._asking is not None else []

    # the look

    @property
    def _is_told(self) -> bool:
        return self._clock.steady() >= self._untold_until

    async def _knows_runs(self) -> bool:
        """Whether there is a look that counts. One that fails holds up nobody: Letta is away, and
        the write will find out, or it is the runs alone that cannot be had.
        """
        now = self._clock.steady()
        if not self._is_told or now < self._unasked_until:
            return False
        if not self._runs.is_fresh(now):
            try:
                await self._ask_once()
            except TemporaryError:
                self._unasked_until = self._clock.steady() + _UNASKED_FOR
                return False
        return self._is_told

    async def _ask_unless_it_keeps_failing(self) -> None:
        try:
            await self._ask_once()
        except TemporaryError as error:
            now = self._clock.steady()
            self._failing_since = self._failing_since or now
            if now - self._failing_since < _FAILING_FOR:
                raise
            self._do_without(error)
        else:
            self._failing_since = None

    def _do_without(self, error: StoreError) -> None:
        self._untold_until = self._clock.steady() + _UNKNOWN_FOR
        self._log.warning("runs_not_told", error=str(error))

    async def _ask_once(self) -> None:
        """Whoever asks while a request is on its way waits for the same answer."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        try:
            self._runs.told(await self._store.runs(), self._clock.steady())
        except PermanentError as error:
            self._do_without(error)
        finally:
            self._asking = None
