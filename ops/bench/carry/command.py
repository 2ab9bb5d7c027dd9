"""`rollcall bench carry`, `rollcall bench load` and `rollcall bench idle`."""

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ops.bench.carry.search import largest
from ops.bench.carry.trial import LATE, Cast, Plan, Trial, run_trial
from ops.bench.letta import Capacity, measured
from ops.bench.options import json_option, plot_option, seed_option
from ops.bench.plots import Line, Panel, draw
from ops.demo.agents import Agents
from ops.demo.command import running_servers, stopped_by_sigterm
from ops.demo.servers import new_run
from ops.demo.view import open_console
from ops.embedded.progress import shown_progress
from streams.settings import Mode

BOUND = 3.0
SERIAL, BEST = "direct, serial", "direct, best concurrency"
MOST = 4000
_STARTS = {SERIAL: 16, BEST: 32, "filtered": 256, "cached": 256}

_window_option = click.option(
    "--window", type=click.FloatRange(5), default=40.0, show_default=True, help="Seconds measured."
)
_quick_option = click.option(
    "--quick", is_flag=True, help="Measure Letta itself in a minute instead of four."
)


class Bench:
    """Trials on the same servers with the same agents, each told as it ends."""

    def __init__(self, cast: Cast, console: Console) -> None:
        self._cast, self._console = cast, console
        self.trials: list[tuple[str, Trial]] = []

    async def trial(self, name: str, plan: Plan) -> Trial:
        """Runs one and tells how it went."""
        with shown_progress() as progress:
            trial = await run_trial(plan, len(self.trials) + 1, self._cast, progress.step)
        self.trials.append((name, trial))
        self._console.print(said(name, trial))
        return trial

    async def most(self, name: str, plan: Callable[[int], Plan], bound: float, most: int) -> int:
        """The most NPCs within the bound."""

        async def passes(npcs: int) -> bool:
            return (await self.trial(name, plan(npcs))).is_within(bound)

        return await largest(passes, _STARTS.get(name, 64), most)

    @property
    def wrong(self) -> int:
        """Memories that were not as they shall be."""
        return sum(len(trial.wrong) for _, trial in self.trials)


@click.command()
@_window_option
@click.option("--bound", type=click.FloatRange(0.5), default=BOUND, show_default=True)
@seed_option
@click.option("--most", type=click.IntRange(1), default=MOST, show_default=True, help="NPCs.")
@click.option("--only", multiple=True, type=click.Choice(list(_STARTS)), help="Only these.")
@_quick_option
@plot_option
@json_option
def carry(
    window: float,
    bound: float,
    seed: int,
    most: int,
    only: tuple[str, ...],
    quick: bool,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """How many NPCs one Letta carries with 95 % of all changes in memory within --bound seconds.

    The same recorded game, the same Letta, one way after the other: every snapshot written by a
    direct integration one at a time; the same at its best concurrency; filtered; cached. The game
    is sent by a process of its own on a schedule that waits for nobody; a change counts with its
    age, also one that never reached the memory. Exits with 1 when a memory of `filtered` or
    `cached` is wrong.
    """
    console = open_console()

    async def run(bench: Bench, capacity: Capacity) -> dict[str, int]:
        carried = {}
        for name in only or _STARTS:
            plan = _plan_of(name, seed, window, bound, capacity)
            carried[name] = await bench.most(name, plan, bound, most)
            console.print(f"[bold]{name}: {carried[name]} NPCs[/bold]")
        return carried

    bench, capacity, carried = _on_servers(console, run, quick=quick)
    console.print(compared(carried, bench.trials))
    if plot:
        for file in draw(
            plot, f"NPCs on one Letta server, p95 within {bound:g} s", _panels(bench, bound)
        ):
            console.print(f"Drawn: {file}")
    if json_file:
        _save(json_file, capacity, bench, {"bound": bound, "seed": seed, "carried": carried})
    raise SystemExit(1 if bench.wrong else 0)


@click.command()
@click.option(
    "--npcs", type=click.IntRange(1), multiple=True, help="So many NPCs; may be repeated."
)
@click.option(
    "--share",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    help="Such a share of what Letta can take; may be repeated.",
)
@click.option(
    "--at-a-time",
    type=click.IntRange(0),
    multiple=True,
    default=(0,),
    help="Updates of the writer at a time, 0: as many as it finds; may be repeated.",
)
@_window_option
@seed_option
@_quick_option
@json_option
def load(
    npcs: tuple[int, ...],
    share: tuple[float, ...],
    at_a_time: tuple[int, ...],
    window: float,
    seed: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """The mode `cached` under given loads: ages, calls for each change, share of Letta used.

    A --share of 1 is as many NPCs as would make Letta's measured updates (one read and one write)
    a second busy, if each change of the game cost one; how often an NPC changes is measured with a
    hundred of them first.
    """

    async def run(bench: Bench, capacity: Capacity) -> dict[str, int]:
        sizes = list(npcs)
        if share:
            first = await bench.trial("to count changes", _cached(100, seed, window))
            each = first.changes / first.seconds / first.npcs
            sizes += [max(1, round(one * capacity.updates_per_second / each)) for one in share]
        for size, limit in itertools.product(sizes, at_a_time):
            name = f"{size} NPCs" + (f", {limit} at a time" if limit else "")
            await bench.trial(name, _cached(size, seed, window, limit or None))
        return {}

    if not npcs and not share:
        raise click.UsageError("give --npcs or --share")
    console = open_console()
    bench, capacity, _ = _on_servers(console, run, quick=quick)
    console.print(loads(bench.trials, capacity))
    if json_file:
        _save(json_file, capacity, bench, {"seed": seed})
    raise SystemExit(1 if bench.wrong else 0)


@click.command()
@click.option("--npcs", type=click.IntRange(1), default=50, show_default=True)
@click.option("--minutes", type=click.FloatRange(0.5), default=10.0, show_default=True)
@click.option(
    "--refresh",
    type=click.FloatRange(10),
    default=60.0,
    show_default=True,
    help="ROLLCALL_FORCE_REFRESH_INTERVAL, in seconds.",
)
@json_option
def idle(npcs: int, minutes: float, refresh: float, json_file: Path | None) -> None:
    """A game in which nothing happens: what is read, and that nothing is written.

    Snapshots go on every 3 s, forced refreshes and verifications too. Exits with 1 on any write.
    """
    settings = {"ROLLCALL_FORCE_REFRESH_INTERVAL": str(refresh)}
    plan = Plan(Mode.CACHED, npcs, 1, minutes * 60, BOUND, is_still=True, settings=settings)

    async def run(bench: Bench, _: Capacity) -> dict[str, int]:
        await bench.trial("nothing happens", plan)
        return {}

    console = open_console()
    bench, _, _ = _on_servers(console, run, quick=True, needs_capacity=False)
    trial = bench.trials[0][1]
    console.print(_figures(trial))
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(trial)) + b"\n")
    raise SystemExit(1 if trial.writes or bench.wrong else 0)


def _cached(npcs: int, seed: int, window: float, at_a_time: int | None = None) -> Plan:
    return Plan(Mode.CACHED, npcs, seed, window, BOUND, at_a_time)


def _plan_of(
    name: str, seed: int, window: float, bound: float, capacity: Capacity
) -> Callable[[int], Plan]:
    mode = Mode(name.split(",")[0])
    concurrency = {SERIAL: 1, BEST: capacity.best_direct_concurrency}.get(name)
    return lambda npcs: Plan(mode, npcs, seed, window, bound, concurrency)


def _on_servers(
    console: Console,
    run: Callable[[Bench, Capacity], Coroutine[Any, Any, dict[str, int]]],
    *,
    quick: bool,
    needs_capacity: bool = True,
) -> tuple[Bench, Capacity, dict[str, int]]:
    """Measures Letta, then runs trials; agents made for them are taken away in the end."""

    async def on(servers: Any) -> tuple[Bench, Capacity, dict[str, int]]:
        name = new_run("carry")
        agents = Agents(servers.letta(), f"rollcall-{name}")
        capacity = (
            await measured(servers.letta_url, servers.letta_token, console, quick=quick)
            if needs_capacity
            else Capacity([])
        )
        bench = Bench(Cast(name, servers, agents), console)
        try:
            return bench, capacity, await run(bench, capacity)
        finally:
            console.print("Taking the agents away")
            await asyncio.shield(agents.delete())

    with stopped_by_sigterm(), running_servers(console) as servers:
        return asyncio.run(on(servers))


def said(name: str, trial: Trial) -> str:
    """One line about a trial."""
    late = (
        f", [red]load late by {trial.lateness_p99:.2f} s[/red]" if trial.lateness_p99 > LATE else ""
    )
    wrong = f", [red]{len(trial.wrong)} memories wrong[/red]" if trial.wrong else ""
    return (
        f"{name}, {trial.npcs} NPCs: p50 {_s(trial.p50)}, p95 {_s(trial.p95)}, worst "
        f"{_s(trial.worst)}; watched groups p95 {_s(trial.watched_p95)}; {trial.changes} changes, "
        f"{trial.calls_per_second:.1f} Letta calls/s{late}{wrong}"
    )


def compared(carried: dict[str, int], trials: Sequence[tuple[str, Trial]]) -> Table:
    """The ways side by side, each with its largest trial that passed."""
    table = Table(box=None, pad_edge=False)
    columns = "Way,At a time,NPCs,x serial,x best,p95,Letta calls/s,Calls/change,Right"
    for number, column in enumerate(columns.split(",")):
        table.add_column(column, justify="right" if number else "left")
    for name, npcs in carried.items():
        last = [trial for way, trial in trials if way == name and trial.npcs == npcs]
        trial = last[-1] if last else None
        table.add_row(
            name,
            str((trial.concurrency if trial else None) or "found"),
            str(npcs),
            _ratio(npcs, carried.get(SERIAL)),
            _ratio(npcs, carried.get(BEST)),
            _s(trial.p95) if trial else "-",
            f"{trial.calls_per_second:.1f}" if trial else "-",
            _number(trial.calls_per_change if trial else None),
            f"{trial.compared - len(trial.wrong)}/{trial.compared}"
            if trial and trial.compared
            else "-",
        )
    return table


def loads(trials: Sequence[tuple[str, Trial]], capacity: Capacity) -> Table:
    """A column for each load."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name, _ in trials:
        table.add_column(name, justify="right")
    for row in (
        ("changes a second", lambda t: f"{t.changes / t.seconds:.1f}"),
        (
            "share of Letta's updates/s asked for",
            lambda t: _percent(t.changes / t.seconds, capacity),
        ),
        ("share of Letta's updates/s used", lambda t: _percent(t.updates_per_second, capacity)),
        ("snapshot to memory p50", lambda t: _s(t.p50)),
        ("p95", lambda t: _s(t.p95)),
        ("p99", lambda t: _s(t.p99)),
        ("worst", lambda t: _s(t.worst)),
        ("groups with a player p95", lambda t: _s(t.watched_p95)),
        ("p95 over Letta's own p95 of read + write", lambda t: _over(t.p95, capacity.update_p95)),
        ("Letta calls a second", lambda t: f"{t.calls_per_second:.1f}"),
        ("Letta calls for each change", lambda t: _number(t.calls_per_change)),
        ("reads and writes for each change", lambda t: _number(t.reads_and_writes_per_change)),
        ("commands superseded", lambda t: str(t.results.get("superseded", 0))),
        ("memories compared, right", lambda t: f"{t.compared - len(t.wrong)}/{t.compared}"),
    ):
        table.add_row(row[0], *(row[1](trial) for _, trial in trials))
    return table


def _figures(trial: Trial) -> Table:
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.add_row("seconds", f"{trial.seconds:g}")
    table.add_row("NPCs", str(trial.npcs))
    table.add_row("snapshots", ", ".join(f"{k} {v}" for k, v in trial.snapshots.items()))
    table.add_row("results", ", ".join(f"{k} {v}" for k, v in trial.results.items()))
    table.add_row("Letta calls", ", ".join(f"{k} {v}" for k, v in trial.calls.items()))
    table.add_row("writes", str(trial.writes))
    return table


def _panels(bench: Bench, bound: float) -> list[Panel]:
    def lines(figure: Callable[[Trial], float | None]) -> list[Line]:
        names = dict.fromkeys(name for name, _ in bench.trials)
        return [
            Line(name, [(t.npcs, y) for way, t in bench.trials if way == name and (y := figure(t))])
            for name in names
        ]

    return [
        Panel("NPCs", "snapshot to memory, p95 (s)", lines(lambda t: t.p95), bound, True, True),
        Panel("NPCs", "Letta calls a second", lines(lambda t: t.calls_per_second), None, True),
    ]


def _save(file: Path, capacity: Capacity, bench: Bench, more: dict[str, Any]) -> None:
    trials = [{"way": name, **msgspec.to_builtins(trial)} for name, trial in bench.trials]
    report = {**more, "letta": capacity.as_json(), "trials": trials}
    file.write_text(json.dumps(report, indent=2) + "\n")


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(npcs: int, other: int | None) -> str:
    return f"{npcs / other:.1f}" if other else "-"


def _percent(rate: float, capacity: Capacity) -> str:
    return f"{100 * rate / capacity.updates_per_second:.0f} %" if capacity.points else "-"


def _over(seconds: float | None, other: float | None) -> str:
    return f"{seconds / other:.1f}" if seconds is not None and other else "-"
