"""NPCs that write into their own memory while the game runs.

Letta has no compare-and-swap: an edit that falls into a writer's read and write is lost. So the
demo's NPCs write while nothing is going to be written: the last snapshot told nothing new, no
command waits, the next snapshot is more than a second away, and no profile is on its way.
"""

import asyncio
from dataclasses import dataclass

from letta_client import APIError

from ops.demo.agents import Agents
from ops.demo.game import Truth
from ops.demo.notes import GROUP, Note, Notebook, remark
from ops.demo.play import Play
from ops.demo.watch import Tally
from topics.catalogue import PLAYER_PROFILES

PAUSE = 3.0
"""Seconds between two edits."""

QUIET = 1.5
"""Game seconds an edit needs, with room to spare."""


@dataclass(slots=True)
class Scribe:
    """Writes notes in the names of NPCs. `written`: how many."""

    agents: Agents
    notebook: Notebook
    play: Play
    tally: Tally
    written: int = 0

    async def run(self) -> None:
        """Write now and then until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            truth = self._quiet_one()
            if truth is not None:
                await asyncio.shield(self._write(truth))

    def _quiet_one(self) -> Truth | None:
        """An NPC that nothing is about to be written for, of those with the fewest notes."""
        quiet = [truth for truth in self.play.told.truths.values() if self._is_quiet(truth)]
        return min(quiet, key=lambda truth: len(self.notebook.of(truth.npc_id)), default=None)

    def _is_quiet(self, truth: Truth) -> bool:
        told, now = self.play.told, self.play.at
        if now - told.profile_at < QUIET:
            return False
        coming = [record for record in self.play.ahead if record.at < now + QUIET]
        return (
            told.changed_at[truth.npc_id] < truth.at
            and not self.tally.is_waiting(truth.npc_id)
            and not any(other.npc_id == truth.npc_id for r in coming for other in r.truths)
            and not any(r.topic == PLAYER_PROFILES for r in coming)
        )

    async def _write(self, truth: Truth) -> None:
        about = truth.members[0] if truth.members else None
        note = Note(truth.npc_id, GROUP, remark(truth.npc_id, 100 + self.written), about)
        try:
            done = await self.agents.write_note(note)
        except APIError:
            return
        if done:
            self.notebook.add(note)
            self.written += 1
