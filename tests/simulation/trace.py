"""What happened in one simulation: a line for each step, figures, and what was wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


class BrokenError(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Trace:
    """`lines` are kept only where somebody will read them. `counts`: faults and windows by kind."""

    now: Callable[[], float]
    is_kept: bool = False
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    steps: int = 0

    def say(self, who: str, what: str) -> None:
        """One step."""
        self.steps += 1
        if self.is_kept:
            self.lines.append(f"{self.now():9.3f}  {who:<12} {what}")

    def fault(self, kind: str, who: str, what: str = "") -> None:
        """Something went wrong on purpose."""
        self.counts[kind] += 1
        self.say(who, f"!! {kind} {what}")

    def broke(self, promise: str) -> None:
        """A promise was broken; the simulation goes on to its end."""
        self.broken.append(f"at {self.now():.3f} s: {promise}")
        self.say("PROMISE", f"BROKEN: {promise}")
