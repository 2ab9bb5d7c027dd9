"""What the world is told of commands: one result each, then `done`, then a line in the log.

A command leaves its parking space only once its result is out: a restart would find it there.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from streams.writer.clock import Clock
from streams.writer.herald import Herald
from streams.writer.job import Job
from streams.writer.outcome import result
from streams.writer.parking import Parking, Spot
from streams.writer.stamp import is_before
from topics.models import Outcome, UpdateResult

Unpark = Callable[[str], Awaitable[None]]
"""Forgets an NPC's parked command where a restart would find it."""


class Results:
    """Results on their way out, and what follows once each is."""

    def __init__(
        self, herald: Herald, parking: Parking, unpark: Unpark, clock: Clock, log: Any
    ) -> None:
        self._herald, self._parking, self._unpark = herald, parking, unpark
        self._clock, self._log = clock, log

    def supersede(self, job: Job | None) -> None:
        """A newer command took the place of this one."""
        if job is not None and job.done is not None:
            self.tell(job, Outcome.SUPERSEDED)

    def tell(self, job: Job, outcome: Outcome, error: str | None = None) -> None:
        """How a command ended that was not carried out."""
        self.tell_result(job, result(job.command, outcome, job.effort, self._clock.now(), error))

    def tell_result(self, job: Job, told: UpdateResult) -> None:
        """How a command ended."""
        self._herald.tell(told, lambda: self._settle(job, told))

    async def _settle(self, job: Job, told: UpdateResult) -> None:
        if not job.is_parking and told.outcome is not Outcome.SUPERSEDED:
            await self._leave_parking(told.npc_id, job)
        if job.done is not None:
            job.done()
        self._log_finished(job, told)

    async def _leave_parking(self, npc_id: str, job: Job) -> None:
        parked = self._parking.spot(npc_id)
        if parked is None or not _is_settled_by(parked, job):
            return
        self._parking.free(npc_id)
        await self._herald.until_done("not_unparked", npc_id, lambda: self._unpark(npc_id))

    def _log_finished(self, job: Job, told: UpdateResult) -> None:
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


def _is_settled_by(parked: Spot, finished: Job) -> bool:
    """A command parked meanwhile is newer than the one whose result goes out, and stays."""
    is_same = parked.command.command_id == finished.command.command_id
    return is_same or not is_before(finished.mark, parked.mark)
