"""`rollcall bench modes`: one recorded game through each mode, to see what filtering saves.

The same records, the same Letta, one mode after the other, each with fresh topics, agents and
workers. Calls are those the writer counted. A direct integration needs four calls a snapshot: when
the game tells more than Letta takes, the writer leaves out snapshots that newer ones replace, and
`direct` looks cheaper than it is; the column `left out` tells, and `--speed` slows the game down.
"""

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ops.bench.options import json_option, seed_option
from ops.demo.command import clear, new_stage, running_servers, stopped_by_sigterm
from ops.demo.game import Record, World
from ops.demo.run import Options, perform
from ops.demo.servers import Servers, new_run
from ops.demo.summary import Summary, shown_faults
from ops.demo.town import Town, build_town
from ops.demo.view import open_console, opened_view
from ops.embedded.progress import shown_progress
from streams.settings import Mode

DRAIN_PATIENCE = 600.0
"""Seconds in which a mode that fell behind may catch up after the game."""

MODES = [mode.value for mode in (Mode.DIRECT, Mode.FILTERED, Mode.CACHED)]


@click.command()
@click.option("--npcs", type=click.IntRange(1, 10_000), default=12, show_default=True)
@click.option("--seconds", type=click.FloatRange(3), default=60, show_default=True)
@seed_option
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Game seconds a second; decisions go by the game's time.",
)
@click.option("--mode", "chosen", type=click.Choice(MODES), multiple=True, help="Only these.")
@json_option
def modes(
    npcs: int,
    seconds: float,
    seed: int,
    speed: float,
    chosen: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Run the modes direct, filtered and cached on the same recorded game and compare them.

    Exits with 1 when a memory is not what it should be in `filtered` or `cached`.
    """
    options = Options(npcs, seconds, seed, speed, notes=False, drain_patience=DRAIN_PATIENCE)
    console = open_console()
    with stopped_by_sigterm(), running_servers(console) as servers:
        summaries = asyncio.run(_run_all(list(chosen or MODES), options, servers, console))
    console.print(compared(summaries))
    if json_file:
        figures = [summary.as_json() for summary in summaries]
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    wrong = [one for one in summaries if not one.is_right and one.mode != Mode.DIRECT.value]
    for summary in wrong:
        console.print(*shown_faults(summary), sep="\n")
    raise SystemExit(1 if wrong else 0)


async def _run_all(
    chosen: list[str], options: Options, servers: Servers, console: Console
) -> list[Summary]:
    run = new_run("bench")
    town = build_town(options.npcs, options.seed, f"{run}-")
    records = World(town, options.seed).tick(options.seconds)
    summaries = []
    for mode in chosen:
        console.print(f"Mode {mode}", style="bold")
        summaries.append(await _run_one(Mode(mode), run, town, records, options, servers, console))
    return summaries


async def _run_one(
    mode: Mode,
    run: str,
    town: Town,
    records: list[Record],
    options: Options,
    servers: Servers,
    console: Console,
) -> Summary:
    stage = new_stage(f"{run}-{mode}", town, mode, servers)
    keep_logs = True
    try:
        with shown_progress() as progress:
            await stage.prepare(progress.step)
        with opened_view(console) as view:
            summary = await perform(stage, options, view, records=records)
        keep_logs = False
        return summary
    except asyncio.CancelledError:
        keep_logs = False
        raise
    finally:
        await clear(stage, keep_logs=keep_logs)


def compared(summaries: list[Summary]) -> Table:
    """The modes side by side."""
    first = summaries[0] if summaries else None
    direct = first.letta_total if first and first.mode == Mode.DIRECT.value else None
    table = Table(box=None, pad_edge=False)
    columns = "Mode,Snapshots,Commands,Left out,Letta calls,Saved,p50,p95,Errors,Right"
    for number, column in enumerate(columns.split(",")):
        table.add_column(column, justify="right" if number else "left")
    for one in summaries:
        table.add_row(
            one.mode,
            str(one.snapshots),
            str(sum(one.decisions.values())),
            str(one.results.get("superseded", 0)),
            str(one.letta_total),
            _saved(one, direct),
            _seconds(one.latency.p50),
            _seconds(one.latency.p95),
            str(sum(one.errors.values()) + sum(one.letta_faults.values())),
            f"{one.verified}/{one.npcs}",
        )
    return table


def _saved(summary: Summary, direct: int | None) -> str:
    """Against the calls that `direct` was measured to make."""
    return "-" if not direct else f"{100 * (1 - summary.letta_total / direct):.1f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
