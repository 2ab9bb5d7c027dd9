"""Carries the survey out for a filter worker: on its Table, its log, its metrics.

Acts on partitions of this worker only. A damaged value does not tell its partition; it stands where
publishers send the NPC's key. Everything goes through the outbox of the batch at hand.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from streams.filter.core import GroupFilter
from streams.filter.groups import Groups
from streams.filter.state import DamagedStateError, GroupState
from streams.filter.survey import SLICE, GameTime, Walk
from streams.home import home_of
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.settings import Settings
from topics.models import UpdateCommand

log = structlog.get_logger()


class Send(Protocol):
    """Puts a command into an outbox."""

    def __call__(self, command: UpdateCommand, outbox: Outbox) -> None: ...


class Surveyor:
    """Looks after the states of this worker's NPCs."""

    def __init__(
        self,
        settings: Settings,
        core: GroupFilter,
        groups: Groups,
        owns: Callable[[int], bool],
        send: Send,
        metrics: Metrics,
    ) -> None:
        self._settings, self._core, self._groups = settings, core, groups
        self._owns, self._send, self._metrics = owns, send, metrics
        self._time = GameTime()
        self._survey, self._sampling = Walk(), Walk()
        self._silent: set[str] = set()

    def begin_anew(self) -> None:
        """Partitions moved."""
        self._time.begin_anew()
        self._survey.restart()
        self._sampling.restart()
        self._silent.clear()

    # what comes in

    def state(self, npc_id: str, outbox: Outbox, partition: int | None = None) -> GroupState | None:
        """The state of an NPC. A damaged one is dropped, if it is ours.

        `partition`: one of ours, from which the NPC was heard; None: nobody was heard.
        """
        try:
            return self._groups.get(npc_id, outbox)
        except DamagedStateError as error:
            home = home_of(npc_id) if partition is None else partition
            if self._owns(home):
                self._drop(npc_id, home, error, outbox)
            return None

    def _drop(self, npc_id: str, partition: int, why: DamagedStateError, outbox: Outbox) -> None:
        self._groups.drop(npc_id, partition, outbox)
        self._core.disturb(npc_id)
        self._silent.discard(npc_id)
        self._metrics.states_dropped.inc()
        log.warning("state_dropped", npc_id=npc_id, partition=partition, error=str(why))

    def hear(self, observed_at: float) -> None:
        """A snapshot was taken in. `observed_at`: seconds, not ahead of the record's own time."""
        self._time.hear(observed_at)

    def welcome(self, npc_id: str, before: GroupState, after: GroupState | None) -> None:
        """A snapshot of an NPC was decided; has it come back?"""
        if before.silent and after and not after.silent:
            self._silent.discard(npc_id)
            seconds = round(after.last_updated - before.last_updated)
            log.info("npc_returned", npc_id=npc_id, seconds=seconds)

    # ticks

    def look(self, outbox: Outbox) -> None:
        """At the next few states."""
        for npc_id in self._survey.next(self._groups.npc_ids, SLICE):
            state = self._of_ours(npc_id, outbox)
            if state and not self._core.is_disabled(npc_id):
                self._listen(npc_id, state, outbox)
        self._metrics.silent.set(len(self._silent))

    def sample(self, outbox: Outbox, now: float) -> None:
        """Have the memory of the next few NPCs compared. `now` (s) stamps the commands."""
        left = self._settings.verify_sample
        for npc_id in self._sampling.next(self._groups.npc_ids, SLICE):
            state = self._of_ours(npc_id, outbox)
            if state and self._time.is_worth_a_look(state, self._settings.verify_interval):
                left -= self._verify(npc_id, state, outbox, now)
            if not left:
                return

    def answer(self, npc_id: str, partition: int, outbox: Outbox, now: float) -> None:
        """Somebody asks for an NPC, through a partition of ours."""
        state = self.state(npc_id, outbox, partition)
        if state is None or not self._owns(state.source.partition):
            log.info("npc_not_verified", npc_id=npc_id, why="no state of it here")
        elif not self._verify(npc_id, state, outbox, now):
            log.info("npc_not_verified", npc_id=npc_id, why="disabled in the roster")

    def _of_ours(self, npc_id: str, outbox: Outbox) -> GroupState | None:
        state = self.state(npc_id, outbox)
        return state if state and self._owns(state.source.partition) else None

    def _listen(self, npc_id: str, state: GroupState, outbox: Outbox) -> None:
        seen_at = self._core.last_seen(npc_id, state)
        if self._time.is_silence(state, seen_at, self._settings.silent_after):
            log.info("npc_silent", npc_id=npc_id, seconds=round(self._time.seconds_since(seen_at)))
            state = msgspec.structs.replace(state, silent=True, last_updated=seen_at)
            self._core.disturb(npc_id)
            self._groups.put(npc_id, state.source.partition, state, outbox)
        if state.silent:
            self._silent.add(npc_id)

    def _verify(self, npc_id: str, state: GroupState, outbox: Outbox, now: float) -> bool:
        command = self._core.verification(npc_id, state, now)
        if command:
            self._send(command, outbox)
        return command is not None
