"""The whole pipeline on one page. Names that others chose are made harmless."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.lag.verdict import Verdict
from ops.lag.view import sparkline
from ops.moment import iso
from ops.top.behind import Behind
from ops.top.figures import Figures, Operation, Standing, Trouble
from ops.top.npcs import Late, Wait
from ops.top.reading import Sight, WorkerSeen
from ops.visible import visible

LATELY = 30
"""Looks that a sparkline shows."""

_NAMED = 4
"""Outcomes, reasons, levels told of each; the rest is added up."""

_ROWS = 32
"""Rows of one table of what workers tell, whatever they tell."""

_SHOWN = 60
_COLOURS = {
    Verdict.OK: "green",
    Verdict.NONE: "dim",
    Verdict.WARN: "yellow",
    Verdict.STOP: "bold red",
    Verdict.STALL: "bold red",
    Verdict.REWIND: "bold magenta",
}


@dataclass(slots=True)
class Course:
    """The last values of each line that has a sparkline."""

    _values: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, sight: Sight) -> None:
        """One look more."""
        now = _charted(sight)
        self._values = {name: values for name, values in self._values.items() if name in now}
        for name, value in now.items():
            self._values.setdefault(name, deque(maxlen=LATELY)).append(value)

    def of(self, name: str) -> str:
        """A bar a look; nothing of a single one."""
        values = self._values.get(name, ())
        return sparkline(values) if len(values) > 1 else ""


def _charted(sight: Sight) -> dict[str, float]:
    lags = {f"lag {one.group} {one.topic}": float(one.lag or 0) for one in sight.behind}
    if sight.figures is None:
        return lags
    found = sight.figures
    flow = {name: sum(rates.values()) for name, rates in _flow(found).items()}
    return lags | flow | {"freshness": found.freshness.p95 or 0.0}


def _flow(found: Figures) -> dict[str, Mapping[str, float]]:
    rates = {
        "world snapshots": found.worlds,
        "snapshots": found.snapshots,
        "commands": found.commands,
        "results": found.results,
        "Letta requests": {one.name: one.rate for one in found.letta},
    }
    return {name: some for name, some in rates.items() if some or name != "world snapshots"}


def drawn(sight: Sight, course: Course) -> RenderableType:
    """The page."""
    return Group(
        _head(sight),
        _workers(sight.workers),
        *(_of_workers(sight.figures, course) if sight.figures else ()),
        *_lag(sight, course),
        *_late(sight),
        *_waiting(sight),
    )


def _head(sight: Sight) -> Text:
    head = Text.assemble(("rollcall top", "bold"), f"  {iso(sight.at)}")
    found = sight.figures
    if found is None:
        return head
    head.append(f"  the last {found.seconds:.1f} s" if found.seconds else "  first look")
    if found.saved is not None:
        head.append(f"  {found.saved:.1%} of direct mode's Letta calls saved", style="bold")
    return head


def _workers(workers: Sequence[WorkerSeen]) -> RenderableType:
    if not workers:
        advice = "no workers' metrics: name them with --metrics, or set ROLLCALL_METRICS_PORT"
        return Text(advice, style="yellow")
    line = Text("workers  ")
    for one in workers:
        told = (one.why_not, "red") if one.why_not else (one.role or "up", "green")
        where = one.url.removeprefix("http://").removesuffix("/metrics")
        line.append_text(Text.assemble(shown(where), " ", told, "  "))
    return line


def _of_workers(found: Figures, course: Course) -> list[RenderableType]:
    """All that metrics tell."""
    return [
        _rates(found, course),
        _freshness(found, course),
        *_letta(found.letta),
        *_writer(found.writer),
        *_troubles(found.troubles),
    ]


def _rates(found: Figures, course: Course) -> Table:
    table = _table("", ">a second", "lately", "of these")
    for name, rates in _flow(found).items():
        _add(table, name, f"{sum(rates.values()):,.1f}", course.of(name), _top(rates))
    return table


def _top(rates: Mapping[str, float], form: str = "{:,.1f}") -> str:
    """The largest few, and the rest."""
    first = list(rates.items())[:_NAMED]
    told = [f"{shown(name)} {form.format(value)}" for name, value in first]
    rest = sum(list(rates.values())[_NAMED:])
    return ", ".join([*told, f"others {form.format(rest)}"] if rest else told)


def _freshness(found: Figures, course: Course) -> Text:
    fresh = found.freshness
    told = f"p50 {_seconds(fresh.p50)}  p95 {_seconds(fresh.p95)}  p99 {_seconds(fresh.p99)}"
    return Text.assemble(
        ("snapshot to memory  ", "bold"),
        f"{told}  of {fresh.memories:,} memories  {course.of('freshness')}",
    )


def _letta(operations: Sequence[Operation]) -> list[Table]:
    table = _table("Letta", ">a second", ">faults", ">mean", ">p95")
    for one in operations[:_ROWS]:
        faults = Text(f"{one.faults:,.1f}", style="red" if one.faults else "")
        _add(
            table,
            shown(one.name),
            f"{one.rate:,.1f}",
            faults,
            _seconds(one.mean),
            _seconds(one.p95),
        )
    return [table] if operations else []


def _writer(servers: Sequence[Standing]) -> list[Table]:
    table = _table(
        *("writer, Letta server", ">in hand", ">oldest", ">at a time", "breaker", ">parked"),
        "waiting",
    )
    for one in servers[:_ROWS]:
        _add(
            table,
            *(shown(one.server), f"{one.in_hand:,}", _seconds(one.oldest), str(one.limit)),
            Text(one.breaker, style="green" if one.breaker == "closed" else "bold red"),
            *(f"{one.parked:,}", _top(one.waiting, "{:,.0f}") or "-"),
        )
    return [table] if servers else []


def _troubles(troubles: Sequence[Trouble]) -> list[Table]:
    table = _table("stage", ">dead letters", ">new", ">errors", ">new")
    for one in troubles[:_ROWS]:
        _add(
            table,
            shown(one.stage),
            *(f"{one.dead_letters:,}", _new(one.new_dead_letters)),
            *(f"{one.errors:,}", _new(one.new_errors)),
        )
    return [table] if troubles else []


def _new(count: int) -> Text:
    return Text(f"+{count:,}", style="bold red") if count else Text("-")


def _lag(sight: Sight, course: Course) -> list[RenderableType]:
    if sight.lag_why_not:
        return [Text(f"consumer lag not read: {shown(sight.lag_why_not)}", style="bold red")]
    table = _table("consumer group", "topic", ">members", ">behind", ">seconds", "", "lately")
    for one in filter(_is_worth_a_row, sight.behind):
        chart = course.of(f"lag {one.group} {one.topic}")
        _add(
            table,
            *(shown(one.group), shown(one.topic), str(one.members)),
            "-" if one.lag is None else f"{one.lag:,}",
            "-" if one.seconds is None else f"{one.seconds:,.1f}",
            *(_verdict(one), chart),
        )
    return [table] if sight.behind else [Text("no group of rollcall's has anything to read")]


def _is_worth_a_row(one: Behind) -> bool:
    return one.is_input or bool(one.lag)


def _verdict(one: Behind) -> Text:
    part = "" if one.judged == one.partitions else f" {one.judged} of {one.partitions}"
    is_said = one.verdict not in (Verdict.OK, Verdict.NONE)
    return Text(one.verdict.value + (part if is_said else ""), style=_COLOURS[one.verdict])


def _late(sight: Sight) -> list[Table]:
    """Whose memory was the oldest picture when it was put in place."""
    table = _table("told latest", ">after", "reason", "at")
    for one in sight.late:
        _add(table, *_of_late(one))
    return [table] if sight.late else []


def _of_late(one: Late) -> tuple[str, ...]:
    return shown(one.npc_id), _seconds(one.seconds), shown(one.reason), iso(one.finished_at)


def _waiting(sight: Sight) -> list[RenderableType]:
    if sight.waiting_npcs is None:
        return [Text("older commands and results are still being read", style="dim")]
    title = f"waiting for a result: {sight.waiting_npcs:,}"
    if not sight.waiting:
        return [Text(title, style="bold")]
    table = _table(title, ">for", "reason", ">commands")
    for one in sight.waiting:
        _add(table, *_of_wait(one))
    return [table]


def _of_wait(one: Wait) -> tuple[str, ...]:
    return shown(one.npc_id), _seconds(one.seconds), shown(one.reason), f"{one.commands:,}"


def _table(*columns: str) -> Table:
    """A plain table; `>` before a name: numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            name.removeprefix(">"),
            justify="right" if name.startswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _add(table: Table, *cells: str | Text) -> None:
    """A row, in which nobody's brackets are taken for markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f} s"


def shown(name: str) -> str:
    """A name that somebody else chose, safe for a terminal."""
    return visible(name.encode(errors="backslashreplace"), _SHOWN)
