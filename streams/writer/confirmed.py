"""Memories that a verification has just found to be as they shall be. Pure: time is an argument.

A stale picture or a forced refresh asks for a look at the memory in case that something is wrong
with it; within PERIOD of a verification of the same desired state that look is spared. No more
entries than verifications within PERIOD.
"""

from streams.writer.recent import Recent
from topics.models import Outcome, Reason, UpdateCommand

PERIOD = 60.0
"""Seconds for which a verification counts."""

_LOOKS = frozenset({Reason.STALE, Reason.FORCE_REFRESH})
_RIGHT = frozenset({Outcome.UNCHANGED, Outcome.APPLIED, Outcome.REPAIRED})


class Confirmed(Recent[int]):
    """Hashes of the desired states that NPCs' memories were verified against."""

    def __init__(self) -> None:
        super().__init__(PERIOD)

    def verified(self, command: UpdateCommand, outcome: Outcome, now: float) -> None:
        """A command was carried out; only a verification says more than its own result."""
        self.forget(command.npc_id)
        if command.reason is Reason.VERIFY and outcome in _RIGHT:
            self.put(command.npc_id, hash(command.desired), now)

    def spares(self, command: UpdateCommand, now: float) -> bool:
        """Whether a command need not look: nothing is new, and somebody has just looked."""
        return command.reason in _LOOKS and self.get(command.npc_id, now) == hash(command.desired)
