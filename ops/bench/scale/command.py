"""`rollcall bench scale`: 100,000 NPCs and many servers, on one machine without any."""

import asyncio
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from ops.bench.carry.search import largest
from ops.bench.options import json_option, letta_option, plot_option, seed_option
from ops.bench.plots import Line, Panel, draw
from ops.bench.scale.happenings import Happening, Recording, like, recorded
from ops.bench.scale.letta_model import Curve, LettaModel, read_curves
from ops.bench.scale.server import Age, Server, Told
from ops.demo.summary import percentile
from ops.demo.view import open_console
from ops.embedded.progress import shown_progress
from streams.home import hash_of

NPCS = (300, 1_000, 3_000, 10_000, 30_000, 100_000)
SERVERS = (1, 4, 16)
BOUND = 3.0
WARM_UP = 60.0
"""Seconds before changes count."""

_COLUMNS = (
    *("servers", "NPCs", "changes/s", "updates/s", "calls/s", "calls/change"),
    *("p50", "p95", "p99", "worst", "groups with a player p95", "waiting"),
)


class Case(NamedTuple):
    """So many NPCs on so many servers, and how that went. Ages in seconds, rates a second."""

    npcs: int
    servers: int
    changes: float
    updates: float
    calls: float
    p50: float | None
    p95: float | None
    p99: float | None
    worst: float
    watched_p95: float | None
    waiting: int
    """NPCs that waited at most, on the server with most."""


class Scale:
    """Plays cases, all from one recording and one measured Letta."""

    def __init__(
        self, recording: Recording, curves: dict[str, dict[int, Curve]], seconds: float, seed: int
    ) -> None:
        self.recording = recording
        self._curves, self._seconds, self._seed = curves, seconds, seed

    def case(self, npcs: int, servers: int) -> Case:
        """Plays one, server after server: they have nothing to do with each other."""
        every = self._shares(npcs, servers)
        told = [self._play(share, number) for number, share in enumerate(every)]
        return _case(npcs, servers, told, self._seconds)

    def _shares(self, npcs: int, servers: int) -> list[list[Happening]]:
        shares: list[list[Happening]] = [[] for _ in range(servers)]
        for first, town in like(self.recording, npcs, self._seed):
            homes = [hash_of(f"npc-{first + one}") % servers for one in range(town.npcs)]
            for one in town.happenings:
                shares[homes[one.npc]].append(one._replace(npc=first + one.npc))
        return [sorted(share) for share in shares]

    def _play(self, share: list[Happening], number: int) -> Told:
        server = Server(LettaModel(self._curves, self._seed + number))
        return server.play((one for one in share if one.at < self._seconds), self._seconds)


def _case(npcs: int, servers: int, told: Sequence[Told], seconds: float) -> Case:
    ages = [age for one in told for age in one.ages if age.at >= WARM_UP]
    every = [age.seconds for age in ages]
    return Case(
        npcs=npcs,
        servers=servers,
        changes=len(every) / (seconds - WARM_UP),
        updates=sum(one.updates for one in told) / seconds,
        calls=sum(one.calls.total() for one in told) / seconds,
        p50=percentile(every, 50),
        p95=percentile(every, 95),
        p99=percentile(every, 99),
        worst=max(every, default=0.0),
        watched_p95=percentile(_watched(ages), 95),
        waiting=max(one.longest_queue for one in told),
    )


def _watched(ages: Sequence[Age]) -> list[float]:
    return [age.seconds for age in ages if age.is_group_watched]


@click.command()
@click.option("--npcs", type=click.IntRange(1), multiple=True, default=NPCS, show_default=True)
@click.option(
    "--servers", type=click.IntRange(1, 64), multiple=True, default=SERVERS, show_default=True
)
@click.option(
    "--seconds",
    type=click.FloatRange(WARM_UP + 30),
    default=300.0,
    show_default=True,
    help=f"Of the game; the first {WARM_UP:.0f} do not count.",
)
@letta_option
@seed_option
@plot_option
@json_option
def scale(
    npcs: tuple[int, ...],
    servers: tuple[int, ...],
    seconds: float,
    measured: Path,
    seed: int,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """How fresh memories are with many NPCs and several Letta servers, in virtual time.

    The writer's queue, concurrency limit and cohorts against servers that take as long as a
    measured one did; changes are those of the demo's town. Besides the table: the most NPCs for
    each number of servers with 95 % of all changes in memory within 3 s, and what becomes of twice
    as many.
    """
    console = open_console()
    with shown_progress() as progress:
        progress.step("Recording a town", None)
        played = Scale(recorded(seed, seconds), read_curves(measured), seconds, seed)
        cases: list[Case] = []
        for done, (number, most) in enumerate(product(servers, sorted(npcs))):
            progress.step(f"{most:,} NPCs, {number} servers", done / len(servers) / len(npcs))
            cases.append(played.case(most, number))
        most_by = {number: _most(played, number, progress.step) for number in servers}
        progress.step("Twice as many", None)
        twice = [played.case(2 * most, number) for number, most in most_by.items() if most]
    console.print(f"{60 * played.recording.rate:.1f} changes of an NPC a minute")
    console.print(as_table(cases))
    for number, most in most_by.items():
        console.print(f"{number} servers: {most:,} NPCs with p95 within {BOUND:g} s")
    console.print("Twice as many:", as_table(twice), sep="\n")
    _keep(plot, json_file, cases, twice, most_by, console)


def _most(played: Scale, servers: int, told: Any) -> int:
    async def passes(npcs: int) -> bool:
        told(f"The most for {servers} servers: {npcs:,} NPCs", None)
        p95 = played.case(npcs, servers).p95
        return p95 is not None and p95 <= BOUND

    return asyncio.run(largest(passes, 500 * servers, 100_000, near=1.03))


def as_table(cases: Sequence[Case]) -> Table:
    """A line for each case."""
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for one in cases:
        ages = (one.p50, one.p95, one.p99, one.worst, one.watched_p95)
        table.add_row(
            str(one.servers),
            f"{one.npcs:,}",
            f"{one.changes:.0f}",
            f"{one.updates:.0f}",
            f"{one.calls:.0f}",
            f"{one.calls / one.changes:.2f}" if one.changes else "-",
            *("-" if age is None else f"{age:.2f} s" for age in ages),
            f"{one.waiting:,}",
        )
    return table


def _keep(
    plot: Path | None,
    json_file: Path | None,
    cases: Sequence[Case],
    twice: Sequence[Case],
    most_by: dict[int, int],
    console: Console,
) -> None:
    if plot:
        for file in draw(plot, "NPCs on several Letta servers, virtual time", _panels(cases)):
            console.print(f"Drawn: {file}")
    if json_file:
        report = {
            "cases": [one._asdict() for one in cases],
            "most": most_by,
            "twice": [one._asdict() for one in twice],
        }
        json_file.write_text(json.dumps(report, indent=2) + "\n")


def _panels(cases: Sequence[Case]) -> list[Panel]:
    def lines(what: str, of: str) -> list[Line]:
        numbers = dict.fromkeys(one.servers for one in cases)
        return [
            Line(
                f"{number} servers, {of}",
                [(c.npcs, y) for c in cases if c.servers == number and (y := getattr(c, what))],
            )
            for number in numbers
        ]

    fresh = lines("p95", "all") + lines("watched_p95", "with a player")
    calls = lines("calls", "calls")
    return [
        Panel("NPCs", "snapshot to memory, p95 (s)", fresh, BOUND, True, True),
        Panel("NPCs", "Letta calls a second", calls, None, True, True),
    ]
