"""Who comes and goes and comes again: damped while the queue is long. Pure: time is an argument.

A player who steps in and out of a group costs two writes that leave everything as it was. While
Letta keeps up they are written at once. The longer work waits, the longer is held what only goes
back to where it was before:

    hold = age of the oldest work that waits x returns within WINDOW / FULL, at most LONGEST

so that an NPC's memory follows such a group less often, and others' news gets the turns. The first
change, and each to a group that was not there just before, is never held.
"""

from typing import NamedTuple

from streams.writer.recent import Recent
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


class Flaps(Recent[_Trace]):
    """The last two groups of each NPC that changed within WINDOW."""

    def __init__(self) -> None:
        super().__init__(WINDOW)

    def hold(self, npc_id: str, desired: Desired, age: float, now: float) -> float:
        """Seconds to hold an NPC for, whose desired state is this. `age`: of the oldest work."""
        group = hash(frozenset(member.id for member in desired.members))
        trace = self.get(npc_id, now) or _Trace(0, 0, 0)
        if trace.group == group:
            return 0.0
        returns = trace.returns + 1 if trace.before == group else 0
        self.put(npc_id, _Trace(group, trace.group, returns), now)
        return min(LONGEST, age * min(returns, FULL) / FULL)
