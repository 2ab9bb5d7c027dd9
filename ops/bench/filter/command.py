"""`rollcall bench filter`: what a stateful filter takes, against others of its kind."""

import asyncio
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ops.bench.filter.backlog import Backlog, backlog_of, write
from ops.bench.filter.figures import ROLLCALL, Run, Spread, Standing, in_turn, standings
from ops.bench.filter.outputs import Outputs, differences, unrefreshed
from ops.bench.filter.paced import Feed, Latency, measure
from ops.bench.filter.race import RAW, Finish, Race
from ops.bench.options import json_option, plot_option, seed_option
from ops.bench.plots import Line, Panel, draw
from ops.demo.command import stopped_by_sigterm
from ops.demo.game import CADENCE
from ops.demo.servers import ensure_kafka_alone, new_run
from ops.demo.view import open_console
from ops.embedded.progress import Progress, shown_progress
from ops.failure import Failure
from ops.tables import admin_client
from ops.topics_admin import apply
from streams.settings import Settings
from topics.connection import KafkaConnection

QUIX = "quix"
CONTENDERS = (ROLLCALL, "faust", QUIX, RAW)
_SHOWN = 3
"""Differences that are told of a run."""


class Plan(NamedTuple):
    """What to measure."""

    npcs: tuple[int, ...]
    records: int
    rounds: int
    contenders: tuple[str, ...]
    seed: int


@click.command("filter")
@click.option(
    "--npcs",
    type=click.IntRange(1),
    multiple=True,
    default=(50_000,),
    show_default=True,
    help="May be repeated.",
)
@click.option("--records", type=click.IntRange(1_000), default=400_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--contender",
    "chosen",
    type=click.Choice(CONTENDERS),
    multiple=True,
    help="Only these, against rollcall.",
)
@click.option(
    "--paced",
    type=click.IntRange(10),
    metavar="RATE",
    help="Instead: rollcall alone, on so many snapshots a second as they come.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=30.0,
    show_default=True,
    help="With --paced: how long.",
)
@seed_option
@json_option
@plot_option
def filters(
    npcs: tuple[int, ...],
    records: int,
    rounds: int,
    chosen: tuple[str, ...],
    paced: int | None,
    seconds: float,
    seed: int,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """A backlog through rollcall's filter, a plain Faust agent, Quix Streams and a bare consumer.

    All make the same decisions on the same records, one after the other, each in a process of its
    own. A time counts only if the commands are those of rollcall, NPC by NPC; exits with 1 where
    one's are not. With --paced: seconds from a snapshot to its command, p50 and p99.
    """
    _demand_enough(npcs, records)
    console = open_console()
    with stopped_by_sigterm(), ExitStack() as stack:
        progress = stack.enter_context(shown_progress())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollcall-bench-")))
        connection = ensure_kafka_alone(stack, progress).connection(f"{new_run('filter')}-")
        _demand_plain(connection)
        if paced is not None:
            feed = Feed(paced, seconds, seed)
            latency = asyncio.run(_cleared(connection, measure(connection, feed, folder, progress)))
            _save(json_file, latency._asdict())
            console.print(latency_table(latency))
            return
        plan = Plan(npcs, records, rounds, _contenders(chosen), seed)
        runs = asyncio.run(_race_all(connection, plan, folder, progress))
    _save(json_file, as_json(plan, runs))
    _tell(plan, runs, console)
    if plot is not None:
        draw(plot, "Stateful filters on one backlog", panels(standings(runs)))
    raise SystemExit(1 if any(run.fault for run in runs) else 0)


def _demand_enough(npcs: Iterable[int], records: int) -> None:
    if 2 * max(npcs) > records:
        raise click.BadParameter(
            "at least twice as many as NPCs: each is seen once before the clock runs.",
            param_hint="--records",
        )


def _demand_plain(connection: KafkaConnection) -> None:
    if connection.security_protocol != "PLAINTEXT":
        raise Failure("the contenders know neither TLS nor SASL, so this broker is not for them.")


def _contenders(chosen: Sequence[str]) -> tuple[str, ...]:
    """Those that take part: rollcall, and of the others the chosen ones that are installed."""
    wanted = [one for one in CONTENDERS if one == ROLLCALL or not chosen or one in chosen]
    if QUIX in wanted and find_spec("quixstreams") is None:
        click.echo("quix is left out: it needs `pip install 'rollcall[bench]'`.", err=True)
        wanted.remove(QUIX)
    return tuple(wanted)


async def _race_all(
    connection: KafkaConnection, plan: Plan, folder: Path, progress: Progress
) -> list[Run]:
    runs: list[Run] = []
    for npcs in plan.npcs:
        part = connection.model_copy(update={"topic_prefix": f"{connection.topic_prefix}{npcs}-"})
        backlog = backlog_of(npcs, plan.records)
        runs += await _cleared(part, _rounds(part, backlog, plan, folder / f"{npcs}", progress))
    return runs


async def _rounds(
    connection: KafkaConnection, backlog: Backlog, plan: Plan, folder: Path, progress: Progress
) -> list[Run]:
    await apply(connection)
    await write(connection, backlog, plan.seed, progress)
    race, jury = Race(connection, backlog, folder), Jury()
    runs = []
    for number in range(plan.rounds):
        for name in in_turn(plan.contenders, number):
            progress.step(f"{backlog.npcs:,} NPCs, round {number + 1}: {name}")
            runs.append(jury.judged(await race.run(name, number + 1)))
    return runs


class Jury:
    """Holds what rollcall sent first, and compares everything later with it."""

    def __init__(self) -> None:
        self._expected: Outputs | None = None
        self._interval = Settings().force_refresh_interval

    def judged(self, finish: Finish) -> Run:
        """The run, with a fault where its commands are not those of rollcall's first run."""
        if finish.outputs is None:
            return finish.run
        if self._expected is None:
            if finish.run.contender != ROLLCALL:
                return _faulty(finish.run, "rollcall has sent nothing to compare with")
            self._expected = finish.outputs
        wrong = [
            *differences(self._expected, finish.outputs),
            *unrefreshed(finish.outputs, self._interval, CADENCE),
        ]
        if not wrong:
            return finish.run
        shown = "; ".join(islice(wrong, _SHOWN))
        return _faulty(finish.run, f"other commands for {len(wrong):,} NPCs: {shown}")


def _faulty(run: Run, fault: str) -> Run:
    return msgspec.structs.replace(run, fault=fault)


async def _cleared(connection: KafkaConnection, work: Any) -> Any:
    """Does the work; the topics are gone afterwards."""
    try:
        return await work
    finally:
        async with admin_client(connection) as admin:
            names = await admin.list_topics()
            ours = [name for name in names if connection.topic_prefix in name]
            await admin.delete_topics(ours)


# what is told


def comparison(backlog: Backlog, rows: Sequence[Standing]) -> Table:
    """A line for each contender."""
    title = f"{backlog.npcs:,} NPCs, {backlog.records:,} snapshots, {_share(backlog, rows)}"
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    columns = ("Contender", "Records/s", "Least-most", "rollcall is", "CPU/record", "Peak memory")
    for number, name in enumerate((*columns, "Commands", "Outputs")):
        table.add_column(name, justify="right" if 0 < number < len(columns) + 1 else "left")
    for row in rows:
        table.add_row(
            row.contender,
            f"{row.rate.middle:,.0f}" if row.rate else "-",
            _between(row.rate),
            f"x {row.ratio:.2f}" if row.ratio else "-",
            f"{row.microseconds:.1f} us" if row.microseconds is not None else "-",
            f"{row.peak_memory / 1e6:,.0f} MB",
            _commands(row.runs),
            _outputs(row),
        )
    return table


def _share(backlog: Backlog, rows: Iterable[Standing]) -> str:
    """Of the snapshots, those that became commands of rollcall."""
    ours = [run.commands for row in rows if row.contender == ROLLCALL for run in row.runs]
    sent = next((commands for commands in ours if commands is not None), None)
    return "no commands" if sent is None else f"{100 * sent / backlog.records:.0f} % a command"


def _between(spread: Spread | None) -> str:
    return f"{spread.least:,.0f}-{spread.most:,.0f}" if spread else "-"


def _commands(runs: Iterable[Run]) -> str:
    counts = sorted({run.commands for run in runs if run.commands is not None})
    return (
        "-".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
        if counts
        else "-"
    )


def _outputs(row: Standing) -> str:
    if row.contender == RAW:
        return "none"
    wrong = sum(run.fault is not None for run in row.runs)
    return f"differ in {wrong} of {len(row.runs)}" if wrong else "same"


def panels(rows: Sequence[Standing]) -> list[Panel]:
    """Throughput and memory by number of NPCs."""
    names = list(dict.fromkeys(row.contender for row in rows))

    def lines(value: Any) -> list[Line]:
        points = {
            name: [(row.npcs, value(row)) for row in rows if row.contender == name and row.rate]
            for name in names
        }
        return [Line(name, those) for name, those in points.items() if those]

    rate = lines(lambda row: row.rate.middle)
    memory = lines(lambda row: row.peak_memory / 1e6)
    return [
        Panel("NPCs", "snapshots a second", rate, is_log_x=True, is_log_y=True),
        Panel("NPCs", "peak memory (MB)", memory, is_log_x=True),
    ]


def latency_table(latency: Latency) -> Table:
    """One line."""
    table = Table(box=None, header_style="bold", title="rollcall, live", title_justify="left")
    names = ("NPCs", "Snapshots/s", "Sent late, p99", "Commands", "p50", "p99", "Worst")
    for name in (*names, "Peak memory"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{latency.npcs:,}",
        f"{latency.rate:,.0f}",
        f"{1000 * latency.lateness_p99:.0f} ms",
        f"{latency.commands:,}",
        *(f"{1000 * value:.0f} ms" for value in (latency.p50, latency.p99, latency.worst)),
        f"{latency.peak_memory / 1e6:,.0f} MB",
    )
    return table


def as_json(plan: Plan, runs: Sequence[Run]) -> dict[str, Any]:
    """Every run, and what they come to."""
    return {
        "options": plan._asdict(),
        "cores": os.cpu_count(),
        "standings": [
            {
                "contender": row.contender,
                "npcs": row.npcs,
                "records_per_second": row.rate._asdict() if row.rate else None,
                "rollcall_is_times": row.ratio,
                "microseconds_per_record": row.microseconds,
                "peak_memory": row.peak_memory,
            }
            for row in standings(runs)
        ],
        "runs": [msgspec.to_builtins(run) | {"records_per_second": run.rate} for run in runs],
    }


def _tell(plan: Plan, runs: Sequence[Run], console: Console) -> None:
    rows = standings(runs)
    for npcs in dict.fromkeys(row.npcs for row in rows):
        backlog = backlog_of(npcs, plan.records)
        console.print(comparison(backlog, [row for row in rows if row.npcs == npcs]))
    loads = [run.load for run in runs]
    console.print(f"Load of the machine before a run: {min(loads):.1f} to {max(loads):.1f}.")
    if any(row.rate is None for row in rows):
        console.print("Where no time stands, it does not count, or more --records are needed.")
    for run in runs:
        if run.fault:
            told = f"{run.contender}, {run.npcs:,} NPCs, round {run.round}: {run.fault}"
            console.print(told, style="red", markup=False)


def _save(file: Path | None, figures: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")
