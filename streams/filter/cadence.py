"""How often an NPC is reported on, and from which gap on its picture is stale. Pure.

`stale_data_threshold` suits NPCs that are reported on every few seconds. One that the game reports
on once a minute would be stale with every snapshot, and cost a read of Letta each time:

    its gaps so far                                     stale is a gap longer than
    --------------------------------------------------  ------------------------------------------
    none, or shorter than a third of the threshold      the threshold
    fewer than LEARNED longer ones                      the threshold
    LEARNED or more, usually of so many seconds         three times as many, `longest` at most

A gap is judged before it is learned from, and one that is long counts for no more than twice the
usual: a pause of the game is stale however often it comes. What is usual falls fast and grows
slowly. Only NPCs with long gaps are remembered, and a restart forgets them: they learn again.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

LEARNED = 4
"""Gaps after which what is usual counts."""

_USUAL_GAPS = 3
_UP, _DOWN = 0.2, 0.5


class _Usual(NamedTuple):
    gaps: int
    seconds: float


@dataclass(slots=True)
class Cadence:
    """Gaps by NPC. `threshold`, `longest`: seconds between which the threshold of each NPC lies."""

    threshold: float
    longest: float
    _usual: dict[str, _Usual] = field(default_factory=dict)

    def stale_after(self, npc_id: str) -> float:
        """Seconds without a snapshot after which the picture of an NPC is stale."""
        usual = self._usual.get(npc_id)
        if usual is None or usual.gaps < LEARNED:
            return self.threshold
        return max(self.threshold, min(_USUAL_GAPS * usual.seconds, self.longest))

    def learn(self, npc_id: str, gap: float) -> None:
        """A snapshot came so many seconds after the one before it."""
        usual = self._usual.get(npc_id)
        if usual is None:
            if self._is_long(gap):
                self._usual[npc_id] = _Usual(1, gap)
            return
        off = min(gap, 2 * usual.seconds) - usual.seconds
        seconds = usual.seconds + (_UP if off > 0 else _DOWN) * off
        if self._is_long(seconds):
            self._usual[npc_id] = _Usual(min(usual.gaps + 1, LEARNED), seconds)
        else:
            del self._usual[npc_id]

    def knows(self, npc_id: str) -> bool:
        """Whether gaps of this NPC are learned from however short they are."""
        return npc_id in self._usual

    def forget_all(self) -> None:
        """Partitions moved."""
        self._usual.clear()

    def __len__(self) -> int:
        """NPCs remembered."""
        return len(self._usual)

    def _is_long(self, seconds: float) -> bool:
        return _USUAL_GAPS * seconds > self.threshold
