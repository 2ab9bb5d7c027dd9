"""What the writer knows of time; tests bring a clock of their own."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""
        ...


class Clock(Protocol):
    """Two times, both in seconds, and an alarm."""

    def now(self) -> float:
        """Since the epoch."""
        ...

    def steady(self) -> float:
        """Since some moment; it never jumps."""
        ...

    def call_later(self, seconds: float, then: Callable[[], None]) -> Timer:
        """Calls `then` once, after so many seconds."""
        ...


class SystemClock:
    """The machine's clocks and the running event loop's alarms."""

    def now(self) -> float:
        """Since the epoch."""
        return time.time()

    def steady(self) -> float:
        """Since some moment."""
        return time.monotonic()

    def call_later(self, seconds: float, then: Callable[[], None]) -> Timer:
        """After so many seconds."""
        return asyncio.get_running_loop().call_later(seconds, then)
