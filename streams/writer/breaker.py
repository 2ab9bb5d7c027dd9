"""When Letta may be asked, and by how many at a time. Pure: time and chance are arguments.

    state      what happens                               becomes
    ---------  -----------------------------------------  -----------------------------------------
    closed     so many NPCs fail, nobody succeeds between  open
    closed     one fails again and again                  closed: that says nothing about Letta
    any        Letta asks for a pause (Retry-After)       open for that long
    open       the wait is over                           half-open: one request, the probe
    half-open  the probe fails                            open, for twice as long, up to `longest`
    half-open  a success                                  one more at a time, then closed
    half-open  a failure after a success                  back to one at a time

While open nobody asks, so that a server that comes back meets one request and not a herd. What was
on its way when it opened changes nothing, whether it works or not.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

ANY_NUMBER = 1 << 30
"""More than anybody asks at a time."""


class BreakerState(IntEnum):
    """The values of `rollcall_letta_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Breaker:
    """A circuit breaker for all requests to one Letta. Times are seconds on any steady clock."""

    failures: int = 5
    """NPCs that fail in a row before it opens."""
    full: int = 4
    """Requests at a time with which it counts as closed again."""
    first: float = 0.5
    """Seconds until the first probe."""
    longest: float = 5.0
    """Seconds between two probes at most."""
    chance: Callable[[], float] = random.random
    """Between 0 and 1; probes of many writers shall not meet."""

    _state: BreakerState = BreakerState.CLOSED
    _failed: set[str] = field(default_factory=set)
    """Who failed since anybody succeeded; at most `failures` NPCs."""
    _wait: float = 0.0
    _probe_at: float = 0.0
    _allowed: int = 1
    _opened_at: float = 0.0

    def state(self, now: float) -> BreakerState:
        """As it stands: an open one is half-open once its wait is over."""
        if self._state is BreakerState.OPEN and now >= self._probe_at:
            return BreakerState.HALF_OPEN
        return self._state

    def room(self, now: float) -> int:
        """How many may ask at the same time."""
        match self.state(now):
            case BreakerState.CLOSED:
                return ANY_NUMBER
            case BreakerState.OPEN:
                return 0
        return self._allowed

    def is_probe(self, now: float) -> bool:
        """Whether the next request is the first since it opened."""
        return self._state is BreakerState.OPEN and now >= self._probe_at

    def opens_at(self, now: float) -> float:
        """When somebody may ask again: now, or later."""
        return max(self._probe_at, now) if self._state is BreakerState.OPEN else now

    def open_seconds(self, now: float) -> float:
        """How long ago it opened first, without having closed since."""
        return now - self._opened_at

    def succeeded(self, now: float) -> bool:
        """Letta answered somebody. True: it had been open, and this was the probe."""
        state = self.state(now)
        if state is BreakerState.OPEN:
            return False
        self._failed.clear()
        if state is BreakerState.CLOSED:
            return False
        is_probe = self.is_probe(now)
        self._state = BreakerState.HALF_OPEN
        self._allowed += 1
        if self._allowed > self.full:
            self._state, self._wait = BreakerState.CLOSED, 0.0
        return is_probe

    def failed(self, who: str, now: float, pause: float | None = None) -> None:
        """Letta did not answer somebody, or asked all for a pause of so many seconds."""
        if pause:
            self._open(now, pause)
            return
        match self.state(now):
            case BreakerState.CLOSED:
                self._failed.add(who)
                if len(self._failed) >= self.failures:
                    self._open(now, self._next_wait())
            case BreakerState.HALF_OPEN if self._allowed > 1:
                self._allowed = 1
            case BreakerState.HALF_OPEN:
                self._open(now, self._next_wait())

    def _next_wait(self) -> float:
        self._wait = min(self.longest, self._wait * 2) if self._wait else self.first
        return self._wait * (0.5 + 0.5 * self.chance())

    def _open(self, now: float, seconds: float) -> None:
        if self._state is BreakerState.CLOSED:
            self._opened_at = now
        self._state, self._allowed = BreakerState.OPEN, 1
        self._probe_at = max(self._probe_at, now + seconds)
        self._failed.clear()
