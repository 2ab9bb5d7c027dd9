"""What a long step tells: a text, and how far it is. A live line on a terminal, else plain lines.

Progress goes to standard error, so that standard output holds nothing but results.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichBar


class Progress(Protocol):
    def step(self, text: str, fraction: float | None = None) -> None:
        """`text` says what happens now; `fraction` (0 to 1) how far it is, None if unknown."""


class Quiet:
    """Says nothing."""

    def step(self, text: str, fraction: float | None = None) -> None:
        del text, fraction


class PlainLines:
    """A line for each new text, and one for each further quarter of a text with fractions."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._told: tuple[str, int] = ("", 0)

    def step(self, text: str, fraction: float | None = None) -> None:
        quarters = int((fraction or 0) * 4)
        if (text, quarters) == self._told:
            return
        self._told = (text, quarters)
        share = f" {quarters * 25} %" if quarters else ""
        print(f"{text}{share}", file=self._stream, flush=True)


class LiveLine:
    """One line that is redrawn: spinner, text, bar, time since the start."""

    def __init__(self, bar: RichBar) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def step(self, text: str, fraction: float | None = None) -> None:
        self._bar.update(
            self._task,
            description=text,
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
        )


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Progress on standard error in the way that suits it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with RichBar(*columns, console=console, transient=True) as bar:
        yield LiveLine(bar)
