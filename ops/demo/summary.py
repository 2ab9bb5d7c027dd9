"""What a run came to, in figures: pure arithmetic on counts, and the tables that show it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.demo.scrape import Counts
from ops.letta_requests import DIRECT_CALLS, is_answer

_SHOWN_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a snapshot to the memory it asked for."""

    count: int
    p50: float | None
    p95: float | None
    max: float | None


@dataclass(slots=True)
class Summary:
    """One run. Counts are of the whole run; `differences` by npc_id, empty when all is right."""

    run: str
    mode: str
    npcs: int
    seconds: float
    seed: int
    speed: float
    records: int
    snapshots: int
    changed: int
    decisions: dict[str, int]
    snapshot_outcomes: dict[str, int]
    caches: dict[str, dict[str, float]]
    letta_calls: dict[str, int]
    letta_faults: dict[str, int]
    results: dict[str, int]
    changes: int
    conflicts: int
    notes_written: int
    errors: dict[str, int]
    dead_letters: int
    faults: list[str]
    latency: Latency
    peak_memory: dict[str, int]
    drained: bool
    verified: int
    differences: dict[str, list[str]] = field(default_factory=dict)

    @property
    def letta_total(self) -> int:
        """All requests to Letta."""
        return sum(self.letta_calls.values())

    @property
    def calls_per_change(self) -> float | None:
        """Requests to Letta for each memory that changed."""
        return self.letta_total / self.changes if self.changes else None

    @property
    def direct_calls(self) -> int:
        """Requests the direct integration would have sent."""
        return DIRECT_CALLS * self.snapshots

    @property
    def saved(self) -> float | None:
        """Per cent of the direct integration's requests that were not needed."""
        return 100 * (1 - self.letta_total / self.direct_calls) if self.direct_calls else None

    @property
    def is_right(self) -> bool:
        """Whether everything was handled and every memory says what the game told last."""
        return self.drained and not self.differences and self.verified == self.npcs

    def as_json(self) -> dict[str, Any]:
        """All figures, for a file."""
        derived = ("letta_total", "calls_per_change", "direct_calls", "saved", "is_right")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def latency_of(seconds: Sequence[float]) -> Latency:
    """Percentiles by nearest rank."""
    return Latency(
        len(seconds), percentile(seconds, 50), percentile(seconds, 95), max(seconds, default=None)
    )


def percentile(values: Sequence[float], per_cent: float) -> float | None:
    """The smallest value that so many per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * per_cent / 100) - 1] if ordered else None


def caches_of(counts: Counts) -> dict[str, dict[str, float]]:
    """Hits, misses and the hit rate (0 to 1) of each cache."""
    name = "rollcall_cache_requests_total"
    found: dict[str, dict[str, float]] = {}
    for cache in counts.by(name, "cache"):
        hits = counts.total(name, cache=cache, result="hit")
        misses = counts.total(name, cache=cache, result="miss")
        found[cache] = {"hits": hits, "misses": misses, "hit_rate": hits / (hits + misses)}
    return found


def letta_faults_of(counts: Counts) -> dict[str, int]:
    """Requests to Letta that did not succeed, by operation and status."""
    found = counts.by("rollcall_letta_requests_total", "operation", "status")
    return {key: number for key, number in found.items() if not is_answer(key.split()[-1])}


def shown(summary: Summary) -> RenderableType:
    """The summary as a table, and what differs below it."""
    table = Table(title=f"rollcall demo, mode {summary.mode}", title_justify="left", box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _rows(summary):
        table.add_row(name, value)
    return Group(table, *shown_faults(summary))


def _rows(summary: Summary) -> list[tuple[str, str]]:
    share = summary.changed / summary.snapshots if summary.snapshots else 0
    latency = summary.latency
    return [
        ("Snapshots", f"{summary.snapshots} of {summary.npcs} NPCs, {share:.0%} told of a change"),
        ("Commands by reason", _listed(summary.decisions)),
        ("Cache hit rate", ", ".join(_hits(c, f) for c, f in summary.caches.items()) or "-"),
        ("Results", _listed(summary.results)),
        ("Letta calls", f"{summary.letta_total} ({_listed(summary.letta_calls)})"),
        ("Calls per change", _number(summary.calls_per_change)),
        ("Direct mode", f"would have made {summary.direct_calls} calls"),
        ("Saved", "-" if summary.saved is None else f"{summary.saved:.1f} % of the calls"),
        ("Snapshot to memory", f"p50 {_seconds(latency.p50)}, p95 {_seconds(latency.p95)}"),
        ("Notes of NPCs", f"{summary.notes_written} written while the game ran"),
        ("Errors", _listed(summary.errors | summary.letta_faults) or "none"),
        ("Dead letters", str(summary.dead_letters)),
        ("Peak memory", ", ".join(f"{n} {b / 1e6:.0f} MB" for n, b in summary.peak_memory.items())),
        ("Verified", f"{summary.verified} of {summary.npcs} NPCs"),
    ]


def shown_faults(summary: Summary) -> list[Text]:
    """What is not as it should be, a line each; bounded."""
    lines = [f"{npc}: {what}" for npc, whats in summary.differences.items() for what in whats]
    lines += summary.faults
    if not summary.drained:
        lines.append("The pipeline did not come to rest; what follows may still be on its way.")
    more = len(lines) - _SHOWN_DIFFERENCES
    lines = lines[:_SHOWN_DIFFERENCES] + ([f"... and {more} more"] if more > 0 else [])
    return [Text(line, style="red") for line in lines]


def _hits(cache: str, figures: dict[str, float]) -> str:
    return f"{cache} {figures['hit_rate']:.1%}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items() if number)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
