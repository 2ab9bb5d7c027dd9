"""The running demo, as it is seen: a live page on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 5.0
"""Seconds between two plain lines."""


@dataclass(slots=True)
class Scene:
    """What there is to see at one moment."""

    phase: str = ""
    at: float = 0.0
    seconds: float = 0.0
    servers: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    snapshots: int = 0
    rate: float = 0.0
    commands: dict[str, int] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    letta_calls: int = 0
    lag: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    newest: list[str] = field(default_factory=list)


def open_console() -> Console:
    """Standard output; wide enough for tables where there is no terminal to ask."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=110, highlight=False)


class View(Protocol):
    def show(self, scene: Scene) -> None:
        """Show this moment."""


class PlainView:
    """One line every few seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0
        self._phase = ""

    def show(self, scene: Scene) -> None:
        if scene.phase == self._phase and time.monotonic() - self._last < PLAIN_SECONDS:
            return
        self._last, self._phase = time.monotonic(), scene.phase
        lag = "/".join(str(lag) for lag in scene.lag.values())
        self._console.print(
            f"{scene.at:3.0f} s, {scene.phase}: {scene.snapshots} snapshots, "
            f"{sum(scene.commands.values())} commands, {sum(scene.results.values())} results, "
            f"{scene.letta_calls} Letta calls, lag {lag or '-'}, {scene.faults} faults",
            highlight=False,
            soft_wrap=True,
        )


class LiveView:
    """A page that is redrawn."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, scene: Scene) -> None:
        self._live.update(page(scene))


@contextmanager
def opened_view(console: Console) -> Iterator[View]:
    """The view that suits the console; the terminal is itself again at the end."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield LiveView(live)


def page(scene: Scene) -> RenderableType:
    """The whole page."""
    clock = Text(f"{scene.at:.0f} of {scene.seconds:.0f} s, {scene.phase}")
    bar = ProgressBar(total=scene.seconds or 1, completed=scene.at, width=30)
    flow = [
        ("snapshots", f"{scene.snapshots} ({scene.rate:.1f}/s)"),
        ("commands", str(sum(scene.commands.values()))),
        ("results", str(sum(scene.results.values()))),
        ("Letta calls", str(scene.letta_calls)),
        ("faults", str(scene.faults)),
    ]
    panels = [
        _panel("Flow", flow),
        _panel("Commands by reason", _counts(scene.commands)),
        _panel("Results", _counts(scene.results)),
        _panel("Lag in records", _counts(scene.lag)),
    ]
    newest = Text("\n".join(scene.newest) or "-", overflow="ellipsis", no_wrap=True)
    return Group(
        Columns([clock, bar]),
        Text("  ".join([*scene.servers, *scene.workers]), style="dim", overflow="ellipsis"),
        Columns(panels),
        Panel(newest, title="Newest updates", title_align="left"),
    )


def _counts(counts: dict[str, int]) -> list[tuple[str, str]]:
    return [(name, str(number)) for name, number in counts.items()]


def _panel(title: str, rows: list[tuple[str, str]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for name, value in rows or [("-", "")]:
        table.add_row(name, value)
    return Panel(table, title=title, title_align="left", expand=False)
