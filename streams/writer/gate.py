"""Whether one more may ask Letta: the breaker and the limit together, and what they learn.

asks                         while fewer are under way than
---------------------------  ----------------------------------------------------------------
an update of an NPC          the limit says, and the breaker allows; if many wait, together
                             with others (`cohort`)
a look (for agents, runs)    the breaker allows: it is one request now and then
"""

from typing import Any, Protocol

from streams.writer.breaker import Breaker, BreakerState
from streams.writer.clock import Clock
from streams.writer.cohort import Cohort
from streams.writer.store import StoreError, TemporaryError


class Limit(Protocol):
    """How many updates may be under way; see `limit`. Times are seconds on a steady clock."""

    def value(self) -> int:
        """As it stands, at least 1."""
        ...

    def done(self, work: float, now: float) -> None:
        """An update came to its end; `work`: what it took, in any unit."""
        ...

    def failed(self, who: str, now: float) -> None:
        """An NPC's update was not answered, or refused for now."""
        ...

    def wanted(self, *, is_full: bool) -> None:
        """Whether more work waits than may begin."""
        ...


_READ = 0.3
_SECOND_WRITE = 0.5


class Gate:
    """One for each Letta server. Whoever asks keeps `updates` and `looks`."""

    def __init__(self, breaker: Breaker, limit: Limit, clock: Clock, log: Any) -> None:
        self._breaker, self._limit, self._clock, self._log = breaker, limit, clock, log
        self._cohort = Cohort()
        self.updates = 0
        """Updates under way."""
        self.looks = 0
        """Looks under way."""

    @property
    def state(self) -> BreakerState:
        """Whether Letta may be asked."""
        return self._breaker.state(self._clock.steady())

    @property
    def limit(self) -> int:
        """Updates that may be under way at a time."""
        return self._limit.value()

    def lets_update(self, now: float, waiting: int) -> bool:
        """Whether one more update may begin, of so many that wait."""
        if self.updates >= self._limit.value() or not self.lets_look(now):
            return False
        return waiting < self._limit.value() or self._cohort.is_open(self.updates, now)

    def begins(self, now: float) -> None:
        """An update begins."""
        self.updates += 1
        self._cohort.began(now)

    def lets_look(self, now: float) -> bool:
        """Whether one more look may begin."""
        return self.updates + self.looks < self._breaker.room(now)

    def is_probe(self, now: float) -> bool:
        """Whether the next request is the first since the breaker opened."""
        return self._breaker.is_probe(now)

    def opens_at(self, now: float) -> float:
        """When somebody may ask again: now, or later."""
        return self._breaker.opens_at(now)

    def ends(self) -> None:
        """An update is under way no longer, however it ended."""
        self.updates -= 1

    def next_update(self, now: float) -> float | None:
        """When one more update may begin at the latest; None: once another has ended."""
        if self.updates >= self._limit.value() or not self.lets_look(now):
            return None
        return max(now, self._cohort.opens_at(self.updates))

    def wanted(self, *, is_full: bool) -> None:
        """Tells the limit whether more work waits than it lets begin."""
        self._limit.wanted(is_full=is_full)

    def done(self, blocks: int, seconds: float) -> None:
        """An update came to its end that wrote so many blocks and took so long."""
        self._cohort.took(seconds)
        work = 1.0 + _SECOND_WRITE * (blocks - 1) if blocks else _READ
        self._limit.done(work, self._clock.steady())

    def answered(self, waiting: int) -> bool:
        """Letta answered somebody. True: the first time since an outage. `waiting` is logged."""
        now, before = self._clock.steady(), self.state
        is_probe = self._breaker.succeeded(now)
        if before is not BreakerState.CLOSED and self.state is BreakerState.CLOSED:
            seconds = round(self._breaker.open_seconds(now), 3)
            self._log.info("breaker_closed", seconds=seconds, waiting=waiting)
        return is_probe

    def unanswered(self, who: str, error: StoreError) -> None:
        """Letta did not answer somebody, or asked all for a pause."""
        now, before = self._clock.steady(), self.state
        self._limit.failed(who, now)
        self._breaker.failed(who, now, error.delay if isinstance(error, TemporaryError) else None)
        if before is BreakerState.CLOSED and self.state is BreakerState.OPEN:
            probe_in = round(self._breaker.opens_at(now) - now, 3)
            self._log.warning("breaker_opened", error=str(error), probe_in=probe_in)
