"""Whom to ask next and who has answered: a window of requests over many NPCs. Pure.

    the writer's result for an NPC that was asked   means
    ----------------------------------------------  -----------------------------------------------
    of a verification: unchanged, repaired, failed  that
    of a verification: outdated                     its memory holds something newer: all is well
    of a verification: superseded                   a newer command waits; its result counts instead
    of anything else                                nothing, unless a verification was superseded

An NPC that is not answered for within `patience` is given up; where nobody at all is answered for
so long, nobody else is asked. Times are arguments, in seconds on any steady clock.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from topics.models import Outcome, Reason, UpdateResult

WINDOW = 50
"""NPCs asked about and not answered for yet: a few seconds of work for one writer."""


class Fate(StrEnum):
    """How the verification of an NPC ended."""

    UNCHANGED = "unchanged"
    REPAIRED = "repaired"
    UPDATED = "updated"
    FAILED = "failed"
    NO_ANSWER = "no answer"
    DAMAGED = "damaged"
    NEVER_SEEN = "never seen"
    DISABLED = "disabled"


WELL = frozenset({Fate.UNCHANGED, Fate.REPAIRED, Fate.UPDATED})
"""The memory is as it should be."""

_FATES = {
    Outcome.UNCHANGED: Fate.UNCHANGED,
    Outcome.REPAIRED: Fate.REPAIRED,
    Outcome.APPLIED: Fate.UPDATED,
    Outcome.OUTDATED: Fate.UPDATED,
    Outcome.FAILED: Fate.FAILED,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one NPC; `result`: the writer's, where it gave one."""

    npc_id: str
    fate: Fate
    why: str = ""
    result: UpdateResult | None = None


@dataclass(slots=True)
class _Wait:
    since: float
    is_superseded: bool = False


@dataclass(slots=True)
class Asking:
    """The NPCs to ask about, each once, in order."""

    _left: deque[str]
    patience: float
    window: int = WINDOW
    _waiting: dict[str, _Wait] = field(default_factory=dict)
    _moved_at: float = float("-inf")
    """When somebody was asked while nobody waited, or an answer came."""

    @classmethod
    def about(cls, npc_ids: Iterable[str], patience: float, window: int = WINDOW) -> "Asking":
        """Nobody is asked yet."""
        return cls(deque(dict.fromkeys(npc_ids)), patience, window)

    @property
    def is_over(self) -> bool:
        """Whether everybody was asked and settled."""
        return not self._left and not self._waiting

    def due(self, now: float) -> list[str]:
        """Whom to ask now."""
        if not self._waiting:
            self._moved_at = now
        room = min(self.window - len(self._waiting), len(self._left))
        asked = [self._left.popleft() for _ in range(room)]
        self._waiting.update((npc_id, _Wait(now)) for npc_id in asked)
        return asked

    def hear(self, result: UpdateResult, now: float) -> Verified | None:
        """A result from the topic; what it settles."""
        wait = self._waiting.get(result.npc_id)
        if wait is None or not (wait.is_superseded or result.reason is Reason.VERIFY):
            return None
        self._moved_at = now
        if result.outcome is Outcome.SUPERSEDED:
            wait.is_superseded = True
            return None
        del self._waiting[result.npc_id]
        why = result.error or ""
        return Verified(result.npc_id, _FATES[result.outcome], why, result)

    def give_up(self, now: float) -> list[str]:
        """Whom to wait for no longer; all, where nobody answers at all."""
        if self._waiting and now - self._moved_at > self.patience:
            lost = [*self._waiting, *self._left]
            self._waiting.clear()
            self._left.clear()
            return lost
        lost = [who for who, wait in self._waiting.items() if now - wait.since > self.patience]
        for npc_id in lost:
            del self._waiting[npc_id]
        return lost
