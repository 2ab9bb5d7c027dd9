"""Memories that a verification has just found to be as they shall be. Pure: time is an argument.

A stale picture or a forced refresh asks for a look at the memory in case that something is wrong
with it; within PERIOD of a verification of the same desired state that look is spared. No more
entries than verifications within PERIOD.
"""

from dataclasses import dataclass, field

from topics.models import Desired, Outcome, Reason, UpdateCommand

PERIOD = 60.0
"""Seconds for which a verification counts."""

_LOOKS = frozenset({Reason.STALE, Reason.FORCE_REFRESH})
_RIGHT = frozenset({Outcome.UNCHANGED, Outcome.REPAIRED})


@dataclass(slots=True)
class Confirmed:
    """When each NPC's memory was last verified, and against which desired state."""

    _seen: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Oldest first."""

    def __len__(self) -> int:
        return len(self._seen)

    def verified(self, command: UpdateCommand, outcome: Outcome, now: float) -> None:
        """A command was carried out; only a verification says more than its own result."""
        self.forget(command.npc_id)
        if command.reason is Reason.VERIFY and outcome in _RIGHT:
            self._drop_old(now)
            self._seen[command.npc_id] = (now, _shape(command.desired))

    def spares(self, command: UpdateCommand, now: float) -> bool:
        """Whether a command need not look: nothing is new, and somebody has just looked."""
        at, shape = self._seen.get(command.npc_id, (now - PERIOD, 0))
        is_recent = now - at < PERIOD
        return command.reason in _LOOKS and is_recent and shape == _shape(command.desired)

    def forget(self, npc_id: str) -> None:
        """Somebody writes to the memory, or it is another worker's now."""
        self._seen.pop(npc_id, None)

    def _drop_old(self, now: float) -> None:
        while self._seen:
            npc_id, (at, _) = next(iter(self._seen.items()))
            if now - at < PERIOD:
                return
            del self._seen[npc_id]


def _shape(desired: Desired) -> int:
    return hash(desired)
