"""How many updates may be under way at one Letta server: as many as it does most with. Pure: time
is an argument.

More at a time make a server do more until its cores, its database or its locks are busy; beyond
that each only takes longer, and memory is the staler for it. Where that is differs from server to
server and from hour to hour, so it is found out, while more work waits than may begin:

    a phase    so many updates, and how much work a second was done in them
    a trial    a phase with one step more or less, between two phases as usual
    its gain   the trial's rate over the mean of the two beside it: what makes Letta slower or
               faster for everybody is in all three, and cancels out

    trials of one kind so far             what follows
    ------------------------------------  ------------------------------------------------------
    one step more does clearly more       one step more
    one step less does as much            one step less: the same for less waiting
    neither                               the next trial, after a longer pause each time
    the rate changes by itself            everything is forgotten: it is another server

Who fails alone says nothing about Letta. When several NPCs fail, the limit shrinks by SHRINK and
grows back by trials alone: no herd returns to a server that has just come back.
"""

from dataclasses import dataclass, field
from math import log, sqrt

START = 8
"""Updates at a time to begin with; about what a Letta on two cores does most with."""

MOST = 64
"""Updates at a time at most."""

SHRINK = 0.6
"""What is left of the limit when several NPCs fail."""

_UPDATES = 40
"""Updates of a phase at least."""
_ROUNDS = 8
"""Updates of a phase for each that may be under way."""
_CLEAR_GAIN = 0.03
_SAME = -0.02
_OBVIOUS = 0.15
_MOST_TRIALS = 8
_LONGEST_PAUSE = 8
_OTHER_RATE = 0.4
_FAILING_FOR = 2.0


class FixedLimit:
    """Always so many."""

    def __init__(self, number: int) -> None:
        self._number = number

    def value(self) -> int:
        """The number given."""
        return self._number

    def done(self, work: float, now: float) -> None:
        """Changes nothing."""

    def failed(self, who: str, now: float) -> None:
        """Changes nothing."""

    def wanted(self, *, is_full: bool) -> None:
        """Changes nothing."""


@dataclass(slots=True)
class _Gains:
    """Of the trials of one kind, as logarithms."""

    count: int = 0
    mean: float = 0.0
    _squares: float = 0.0

    def add(self, gain: float) -> None:
        """One trial more; after many, old ones count for less and less."""
        if self.count == _MOST_TRIALS:
            self._squares *= 1 - 1 / _MOST_TRIALS
        self.count = min(self.count + 1, _MOST_TRIALS)
        delta = gain - self.mean
        self.mean += delta / self.count
        self._squares += delta * (gain - self.mean)

    @property
    def doubt(self) -> float:
        """The standard error of the mean; large while there are few."""
        if self.count < 2:
            return _OBVIOUS
        return sqrt(self._squares / (self.count - 1) / self.count)


@dataclass(slots=True)
class _Phase:
    """Some updates with one limit. Those under way when it began are left out."""

    limit: int
    to_skip: int
    work: float = 0.0
    updates: int = 0
    since: float | None = None

    def done(self, work: float, now: float) -> float | None:
        """One update more; the work a second, once there are enough."""
        if self.to_skip > 0:
            self.to_skip -= 1
        elif self.since is not None:
            self.work, self.updates = self.work + work, self.updates + 1
        if self.to_skip == 0 and self.since is None:
            self.since = now
        if self.since is None or self.updates < max(_UPDATES, _ROUNDS * self.limit):
            return None
        return self.work / (now - self.since) if now > self.since else None


@dataclass(slots=True)
class AdaptiveLimit:
    """Finds its value; the rules stand above."""

    limit: int = START
    most: int = MOST
    _phase: _Phase = field(default_factory=lambda: _Phase(START, START))
    _is_full: bool = False
    _usual: float | None = None
    """Logarithm of the rate of the last usual phase."""
    _tried: float | None = None
    """Of the trial since."""
    _goes_up: bool = True
    _gains: dict[bool, _Gains] = field(default_factory=dict)
    """By whether the trials went up."""
    _pause: int = 0
    """Usual phases until the next trial."""
    _calm: int = 0
    """Trials since anything moved."""
    _failed: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        self._settle(self.limit)

    def value(self) -> int:
        """As it stands, a trial included."""
        return self._phase.limit

    def wanted(self, *, is_full: bool) -> None:
        """Whether more work waits than may begin. What is done while none does teaches nothing."""
        if self._is_full and not is_full:
            self._begin(self.limit)
            self._usual = self._tried = None
        self._is_full = is_full

    def done(self, work: float, now: float) -> None:
        """An update came to its end; `work`: what it took, in any unit."""
        rate = self._phase.done(work, now) if self._is_full and work > 0 else None
        if rate is not None:
            self._end(log(rate))

    def failed(self, who: str, now: float) -> None:
        """Letta did not answer an NPC's update."""
        before, self._failed = self._failed, (who, now)
        if before is not None and before[0] != who and now - before[1] < _FAILING_FOR:
            self._failed = None
            self._settle(max(1, int(self.limit * SHRINK)))

    def _settle(self, limit: int) -> None:
        """Everything learned was about another limit."""
        self.limit = limit
        self._gains = {True: _Gains(), False: _Gains()}
        self._usual = self._tried = None
        self._calm = self._pause = 0
        self._begin(limit)

    def _begin(self, limit: int) -> None:
        self._phase = _Phase(limit, to_skip=max(limit, self._phase.limit))

    def _end(self, rate: float) -> None:
        if self._phase.limit != self.limit:
            self._tried = rate
            self._begin(self.limit)
            return
        if self._usual is not None and abs(rate - self._usual) > _OTHER_RATE:
            self._settle(self.limit)
        if self._usual is not None and self._tried is not None:
            self._gains[self._goes_up].add(self._tried - (self._usual + rate) / 2)
            if self._has_moved():
                return
        self._usual, self._tried = rate, None
        self._next()

    def _has_moved(self) -> bool:
        up, down = self._gains[True], self._gains[False]
        if up.count and (up.mean > _OBVIOUS or (up.count > 1 and up.mean > _CLEAR_GAIN + up.doubt)):
            self._settle(self._above)
        elif down.count > 2 and down.mean - down.doubt > _SAME:
            self._settle(self._below)
        else:
            self._calm += 1
            self._pause = min(self._calm // 8, _LONGEST_PAUSE)
            return False
        return True

    def _next(self) -> None:
        """The other kind of trial, or a pause."""
        if self._pause > 0:
            self._pause -= 1
            self._begin(self.limit)
            return
        self._goes_up = self._below == self.limit or not self._goes_up
        self._begin(self._above if self._goes_up else self._below)

    @property
    def _above(self) -> int:
        return min(self.limit + max(min(2, self.limit), self.limit // 4), self.most)

    @property
    def _below(self) -> int:
        return max(self.limit - max(1, self.limit // 3), 1)
