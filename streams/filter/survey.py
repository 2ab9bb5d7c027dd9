"""The survey: a walk over all states at low priority, a few at every tick, again and again.

    a state                                       is
    --------------------------------------------  ---------------------------------------------
    that cannot be read                           dropped; the next snapshot counts as the first
    not confirmed for `silent_after`, while the   marked silent, once; a snapshot of the NPC
    game goes on                                  takes the mark off
    not pushed for a while                        now and then one of a sample, whose memory in
                                                  Letta is compared with it

The game's time is that of its snapshots. Where it stands still (nobody reports, or the worker does
not run) nobody grows silent, and a worker that got partitions gives everybody in them the whole
time anew: what is on its way to a new owner is no silence. Pure: no clock, no I/O.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from streams.filter.state import GroupState

SLICE = 500
"""States looked at in one tick: a few milliseconds in which nothing else is done."""

_NEVER = float("inf")


class Walk:
    """Goes over keys that come and go, a few at a time: each once a round, then from the start."""

    def __init__(self) -> None:
        self._ahead: Iterator[str] = iter(())

    def next(self, keys: Callable[[], Iterable[str]], most: int) -> Iterator[str]:
        """The next keys: `most`, or what is left of the round. A key may be gone by now.

        `keys()` is a picture of its moment. What is not taken from the iterator comes next time.
        """
        for taken in range(most):
            key = next(self._ahead, None)
            if key is None and not taken:  # the last slice took just what was left
                self._ahead = iter(keys())
                key = next(self._ahead, None)
            if key is None:
                return
            yield key

    def restart(self) -> None:
        """Begin a new round."""
        self._ahead = iter(())


@dataclass(slots=True)
class GameTime:
    """How late it is in the game, by the snapshots heard; seconds since the epoch."""

    now: float = 0.0
    since: float = _NEVER
    """When these partitions were ours first."""

    def hear(self, observed_at: float) -> None:
        """A snapshot, of anybody."""
        self.now = max(self.now, observed_at)
        self.since = min(self.since, self.now)

    def begin_anew(self) -> None:
        """Partitions moved."""
        self.since = _NEVER

    def seconds_since(self, seen_at: float) -> float:
        """How long ago that was."""
        return self.now - seen_at

    def is_silence(self, state: GroupState, seen_at: float, silent_after: float) -> bool:
        """Whether an NPC last seen at `seen_at` is to be marked silent now."""
        return not state.silent and self.now - max(seen_at, self.since) > silent_after

    def is_worth_a_look(self, state: GroupState, interval: float) -> bool:
        """Not pushed within `interval`: a push compares the memory too."""
        return self.now - state.last_force_refresh >= interval
