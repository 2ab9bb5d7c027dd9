"""Lag as a table, with sparklines where it is watched, and as JSON."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.lag.reading import Position
from ops.lag.verdict import Sample, Verdict, trend, verdict
from ops.visible import visible

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = {
    Verdict.OK: "green",
    Verdict.NONE: "dim",
    Verdict.WARN: "yellow",
    Verdict.STOP: "bold red",
    Verdict.STALL: "bold red",
    Verdict.REWIND: "bold magenta",
}

Where = tuple[str, str, int]
"""Group, topic, partition."""


@dataclass(slots=True)
class Windows:
    """The last samples of each group on each partition. `samples`: how many at most."""

    samples: int
    _windows: dict[Where, deque[Sample]] = field(default_factory=dict)

    def add(self, positions: Sequence[Position]) -> None:
        """One sample more of each; those that are gone are forgotten."""
        here = {one[:3]: one for one in positions}
        self._windows = {where: w for where, w in self._windows.items() if where in here}
        for where, one in here.items():
            window = self._windows.setdefault(where, deque(maxlen=self.samples))
            window.append(one.sample)

    def of(self, position: Position) -> Sequence[Sample]:
        """The samples of one, oldest first."""
        return self._windows[position[:3]]


def behind(positions: Sequence[Position], windows: Windows) -> list[Position]:
    """Those with something not finished, lately or now, and those with records and no commit."""
    return [one for one in positions if _is_behind(windows.of(one))]


def _is_behind(window: Sequence[Sample]) -> bool:
    newest = window[-1]
    is_untouched = newest.committed is None and newest.end > newest.start
    return is_untouched or any(sample.lag for sample in window)


def as_json(positions: Sequence[Position], windows: Windows) -> list[dict[str, Any]]:
    """All that is known, a document for each partition."""
    return [_one_as_json(one, windows.of(one)) for one in positions]


def _one_as_json(one: Position, window: Sequence[Sample]) -> dict[str, Any]:
    growth = trend(window)
    return {
        "group": one.group,
        "topic": one.topic,
        "partition": one.partition,
        "committed": one.sample.committed,
        "end": one.sample.end,
        "lag": one.sample.lag,
        "lag_seconds": None if one.seconds is None else round(one.seconds, 3),
        "trend": None if growth is None else round(growth, 2),
        "members": one.members,
        "verdict": verdict(window, one.members).value,
    }


def drawn(
    positions: Sequence[Position],
    windows: Windows,
    *,
    with_lines: bool = False,
    only_behind: bool = False,
) -> RenderableType:
    """A table for each group; `with_lines`: the lag of the window as a sparkline."""
    groups: dict[str, list[Position]] = {}
    for one in positions:
        groups.setdefault(one.group, []).append(one)
    tables = list[RenderableType]()
    for some in groups.values():
        tables.append(_head(some))
        rows = behind(some, windows) if only_behind else some
        tables += [_table(rows, windows, with_lines)] if rows else []
    return Group(*tables) if tables else Text("No group has anything to read.")


def _head(positions: Sequence[Position]) -> Text:
    group, members = shown(positions[0].group), positions[0].members
    total = sum(one.sample.lag or 0 for one in positions)
    counted = f"{members} member{'' if members == 1 else 's'}, {total:,} behind"
    return Text(f"{group}: {counted}", style="bold")


def _table(positions: Sequence[Position], windows: Windows, with_lines: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    for name in ("partition", "committed", "end", "lag", "seconds", "a second"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    if with_lines:
        table.add_column("lag lately")
    for one in positions:
        table.add_row(*_cells(one, windows.of(one), with_lines))
    return table


def _cells(one: Position, window: Sequence[Sample], with_lines: bool) -> list[str | Text]:
    said, growth = verdict(window, one.members), trend(window)
    cells: list[str | Text] = [
        shown(one.topic),
        str(one.partition),
        _number(one.sample.committed),
        _number(one.sample.end),
        _number(one.sample.lag),
        "-" if one.seconds is None else f"{one.seconds:,.1f}",
        "-" if growth is None else f"{growth:+,.1f}",
        Text(said.value, style=_COLOURS[said]),
    ]
    return [*cells, sparkline([sample.lag or 0 for sample in window])] if with_lines else cells


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, the highest the full height."""
    most = max(values, default=0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)


def above(positions: Sequence[Position], most: int | None, most_seconds: float | None) -> list[str]:
    """A sentence for each partition that is further behind than allowed."""
    sentences = []
    for one in positions:
        where = f"{shown(one.group)} on {shown(one.topic)}/{one.partition}"
        if most is not None and (one.sample.lag or 0) > most:
            sentences.append(f"{where} is {one.sample.lag:,} records behind, more than {most:,}.")
        if most_seconds is not None and (one.seconds or 0.0) > most_seconds:
            sentences.append(
                f"{where} is {one.seconds:,.1f} s behind, more than {most_seconds:g} s."
            )
    return sentences


def shown(name: str) -> str:
    """A name that somebody else chose, safe for a terminal."""
    return visible(name.encode(), 120)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
