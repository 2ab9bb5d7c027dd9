"""Whom to look at again after a write, because an agent may have written old values back. Pure.

    the agent of an NPC whose memory we wrote   `delay` after that, the NPC is
    ------------------------------------------  --------------------------------------------------
    has a run in progress                       looked at, and again a delay later
    has run since the write                     looked at, and forgotten
    has not                                     forgotten: nobody can have reverted it
    may have: Letta does not list its runs      looked at, and forgotten
    whoever it is, after a write of ours that   looked at, and once more a delay later: it may have
    was given up without an answer              landed over this one

A command that came meanwhile reads the memory anyway, so its NPC is forgotten; its own write, and
each repair, is followed anew. No more entries than NPCs.
"""

from dataclasses import dataclass, field, replace

from streams.writer.runs import Runs
from streams.writer.stamp import Mark
from topics.models import UpdateCommand

DELAY = 5.0
"""Seconds from a write to the look after it."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """A write to be looked after."""

    command: UpdateCommand
    mark: Mark
    agent_id: str
    looks: int
    """Looks at the runs there had been before the write."""
    doubts: int = 0
    """Looks to be taken in any case: a write was given up without an answer."""
    due: float = 0.0


@dataclass(slots=True)
class Rechecks:
    """Writes by NPC. `delay`: seconds; 0: nothing is looked after."""

    delay: float = DELAY
    _writes: dict[str, Recheck] = field(default_factory=dict)
    """In the order in which they are due."""

    def __len__(self) -> int:
        return len(self._writes)

    def put(self, write: Recheck, now: float) -> None:
        """A write, in the place of an older one of the same NPC."""
        npc_id = write.command.npc_id
        self.forget(npc_id)
        if self.delay:
            self._writes[npc_id] = replace(write, due=now + self.delay)

    def forget(self, npc_id: str) -> None:
        """Somebody else sees to it."""
        self._writes.pop(npc_id, None)

    def doubts(self, npc_id: str) -> int:
        """Looks that are still to be taken for a write in doubt."""
        write = self._writes.get(npc_id)
        return write.doubts if write else 0

    def next_due(self) -> float | None:
        """When the next is due; None: nobody."""
        first = next(iter(self._writes.values()), None)
        return first.due if first else None

    def take_due(self, now: float, runs: Runs | None) -> list[Recheck]:
        """Whom to look at now; the rules stand above. `runs` None: nobody can tell."""
        due = [write for write in self._writes.values() if write.due <= now]
        for write in due:
            self.forget(write.command.npc_id)
            if write.doubts > 1 or (runs is not None and runs.is_running(write.agent_id)):
                self.put(replace(write, doubts=max(write.doubts - 1, 0)), now)
        return [
            w for w in due if w.doubts or runs is None or runs.has_run_since(w.agent_id, w.looks)
        ]
