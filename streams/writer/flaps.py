"""Who comes and goes and comes again: damped while the queue is long. Pure: time is an argument.

A player who steps in and out of a group costs two writes that leave everything as it was. While
Letta keeps up they are written at once. The longer work waits, the longer is held what only goes
back to where it was before:

    hold = age of the oldest work that waits x returns within WINDOW / FULL, at most LONGEST

so that an NPC's memory follows such a group less often, and others' news gets the turns. The first
change, and each to a group that was not there just before, is never held.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from topics.models import Desired

WINDOW = 60.0
"""Seconds after which a change is forgotten."""

FULL = 3
"""Returns with which an NPC is held for as long as the oldest work has waited."""

LONGEST = 10.0
"""Seconds an NPC is held at most."""


class _Trace(NamedTuple):
    group: int
    before: int
    returns: int
    at: float


@dataclass(slots=True)
class Flaps:
    """The last two groups of each NPC that changed within WINDOW, oldest change first."""

    _traces: dict[str, _Trace] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._traces)

    def hold(self, npc_id: str, desired: Desired, age: float, now: float) -> float:
        """Seconds to hold an NPC for, whose desired state is this. `age`: of the oldest work."""
        self._drop_old(now)
        group = hash(frozenset(member.id for member in desired.members))
        trace = self._traces.get(npc_id)
        if trace is not None and trace.group == group:
            return 0.0
        is_return = trace is not None and trace.before == group
        returns = trace.returns + 1 if trace and is_return else 0
        self._traces.pop(npc_id, None)
        self._traces[npc_id] = _Trace(group, trace.group if trace else 0, returns, now)
        return min(LONGEST, age * min(returns, FULL) / FULL)

    def forget(self, npc_id: str) -> None:
        """The NPC is another worker's now."""
        self._traces.pop(npc_id, None)

    def _drop_old(self, now: float) -> None:
        while self._traces:
            npc_id, trace = next(iter(self._traces.items()))
            if now - trace.at < WINDOW:
                return
            del self._traces[npc_id]
