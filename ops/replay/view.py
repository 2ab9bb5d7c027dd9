"""Decisions and comparisons for people, and as JSON."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from ops.history.view import change_line
from ops.moment import iso
from ops.replay.comparison import Comparison, Tally
from ops.replay.dry_run import Decision
from ops.visible import visible
from streams.filter.core import SnapshotOutcome

_SHOWN = 300
_COLOURS = {
    SnapshotOutcome.SENT: "bold green",
    SnapshotOutcome.SUPPRESSED: "dim",
    SnapshotOutcome.DEAD_LETTER: "bold red",
}


def lines(decision: Decision, mark: str = "") -> Iterator[Text]:
    """A decision, and what it would change in memory. `mark`: whose it is, of two."""
    source = decision.source
    what = decision.reason or decision.error or ""
    yield Text.assemble(
        mark,
        (iso(decision.observed_at), "bold"),
        f"  {shown(decision.npc_id)}  ",
        (decision.outcome.value.replace("_", " "), _COLOURS.get(decision.outcome, "yellow")),
        f"  {shown(what)}" if what else "",
        (f"  {shown(source.topic)}/{source.partition}@{source.offset}", "dim"),
    )
    for change in decision.changes:
        yield Text(mark + "  ").append_text(change_line(change))


def document(decision: Decision) -> dict[str, Any]:
    """The same for programs."""
    source = decision.source
    return {
        "npc_id": decision.npc_id,
        "observed_at": decision.observed_at,
        "source": {"topic": source.topic, "partition": source.partition, "offset": source.offset},
        "outcome": decision.outcome.value,
        "reason": decision.reason.value if decision.reason else None,
        "changes": [change_line(change).plain for change in decision.changes],
        **({"error": decision.error} if decision.error else {}),
    }


def summary(tally: Tally) -> Iterator[Text]:
    """A run in two lines."""
    outcomes = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(tally.outcomes.items())
    )
    reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(tally.reasons.items()))
    yield Text(f"{tally.snapshots:,} decisions: {outcomes or 'none'}")
    if tally.commands:
        calls = f"{tally.calls:,} Letta calls: {tally.commands:,} reads, {tally.writes:,} writes"
        yield Text(f"{tally.commands:,} commands: {reasons}; {calls}")


def tally_document(tally: Tally) -> dict[str, Any]:
    """The same for programs."""
    return {
        "outcomes": dict(sorted(tally.outcomes.items())),
        "reasons": dict(sorted(tally.reasons.items())),
        "commands": tally.commands,
        "writes": tally.writes,
        "letta_calls": tally.calls,
    }


def comparison_table(comparison: Comparison, old: str, new: str) -> Table:
    """What both decided, side by side."""
    table = Table(box=None, header_style="bold")
    for name in ("", old, new, "difference"):
        table.add_column(name, justify="left" if not name else "right", overflow="fold")
    for name, (before, after) in comparison.rows().items():
        table.add_row(name, f"{before:,}", f"{after:,}", f"{after - before:+,}")
    return table


def verdict(comparison: Comparison) -> str:
    """In one sentence."""
    saved = comparison.saved
    calls = "no Letta calls either way" if saved is None else _calls(saved)
    return f"{comparison.differing:,} records are decided otherwise; {calls}."


def calls_by_minute(tally: Tally) -> list[tuple[float, float]]:
    """Letta calls a minute, for a plot; the first minute is 0."""
    minutes = tally.calls_by_minute
    first = min(minutes, default=0)
    return [(float(minute - first), float(count)) for minute, count in sorted(minutes.items())]


def shown(text: str) -> str:
    """Foreign text on a terminal."""
    return visible(text.encode(errors="backslashreplace"), _SHOWN)


def _calls(saved: float) -> str:
    return f"{abs(saved):.1%} {'fewer' if saved >= 0 else 'more'} Letta calls"
