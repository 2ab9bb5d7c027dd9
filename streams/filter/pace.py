"""Forced refreshes at an even pace, not in waves. Pure: time is the game's.

NPCs that were first seen together are due together, again and again: a wave of reads for Letta
every interval. So no more are let through than twice as many as would be even, after a few that
always may:

    due, and                                    refreshed
    ------------------------------------------  ----------------------------------------------------
    fewer than BURST were lately                at once: a small game keeps its interval exactly
    more                                        with a later snapshot, as soon as the pace allows it
    has waited for half an interval more        at once, whatever the pace

After one interval they are spread, and nobody waits any more.
"""

from dataclasses import dataclass

BURST = 10
"""Refreshes that may come at one moment."""

_EVEN = 2.0
"""Times the even rate; 2 spreads a wave over half an interval."""


@dataclass(slots=True)
class Pace:
    """Lets refreshes through. `interval`: seconds between two of one NPC."""

    interval: float
    _left: float = BURST
    _at: float = 0.0

    def lets_through(self, overdue: float, now: float, npcs: int) -> bool:
        """Whether an NPC may be refreshed that was due `overdue` seconds ago, one of so many."""
        self._refill(now, npcs)
        if self._left < 1 and overdue < self.interval / 2:
            return False
        self._left = max(self._left - 1, 0.0)
        return True

    def _refill(self, now: float, npcs: int) -> None:
        if now > self._at:
            earned = (now - self._at) * _EVEN * npcs / self.interval
            self._left, self._at = min(self._left + earned, BURST), now
