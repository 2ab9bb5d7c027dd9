"""Two dry runs of one stretch, side by side. Pure.

Letta calls are counted as they come at least: one read for each command, and one write for each
block that differs. The writer saves some of the reads where many NPCs wait (`streams.writer`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.replay.dry_run import Decision
from streams.filter.core import SnapshotOutcome

MINUTE = 60.0


@dataclass(slots=True)
class Tally:
    """What one run decided."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    writes: int = 0
    calls_by_minute: Counter[int] = field(default_factory=Counter)
    """By minutes since the epoch, of the game's time."""

    def add(self, decision: Decision) -> None:
        """One more decision."""
        self.outcomes[decision.outcome] += 1
        if decision.reason is None:
            return
        writes = decision.writes
        self.reasons[decision.reason] += 1
        self.writes += writes
        self.calls_by_minute[int(decision.observed_at // MINUTE)] += 1 + writes

    def hold(self, number: int = 1) -> None:
        """So many snapshots more that were suppressed."""
        if number:
            self.outcomes[SnapshotOutcome.SUPPRESSED] += number

    @property
    def commands(self) -> int:
        """Commands sent, each of which costs a read."""
        return self.reasons.total()

    @property
    def calls(self) -> int:
        """Letta calls."""
        return self.commands + self.writes

    @property
    def snapshots(self) -> int:
        """Decisions on snapshots; looks at an NPC afterwards are none."""
        return self.outcomes.total()


@dataclass(slots=True)
class Comparison:
    """Tallies under two names, and the decisions on which they differ."""

    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    differing: int = 0

    def add(self, old: list[Decision], new: list[Decision]) -> bool:
        """The decisions of both on one record; whether they differ."""
        for each in old:
            self.old.add(each)
        for each in new:
            self.new.add(each)
        differ = [_told(one) for one in old] != [_told(one) for one in new]
        self.differing += differ
        return differ

    def hold(self, number: int = 1) -> None:
        """So many snapshots more that both suppressed."""
        self.old.hold(number)
        self.new.hold(number)

    def rows(self) -> Mapping[str, tuple[int, int]]:
        """What is counted, by its name: of the old settings and of the new ones."""
        old, new = self.old, self.new
        names = sorted(old.reasons.keys() | new.reasons.keys())
        suppressed = SnapshotOutcome.SUPPRESSED.value
        return {
            **{name: (old.reasons[name], new.reasons[name]) for name in names},
            "commands": (old.commands, new.commands),
            suppressed: (old.outcomes[suppressed], new.outcomes[suppressed]),
            "blocks written": (old.writes, new.writes),
            "Letta calls": (old.calls, new.calls),
        }

    @property
    def saved(self) -> float | None:
        """The share of Letta calls that the new settings save; below 0: they cost more."""
        return 1 - self.new.calls / self.old.calls if self.old.calls else None


def _told(decision: Decision) -> tuple[object, ...]:
    return decision.npc_id, decision.outcome, decision.reason, decision.after
