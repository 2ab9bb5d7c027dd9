"""`rollcall bench filter-scale`: memory, recovery and rebalance pauses with many NPCs."""

import asyncio
import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from ops.bench.filter_scale.bed import Bed, Commands
from ops.bench.filter_scale.growth import Feed, grow
from ops.bench.filter_scale.pauses import Event
from ops.bench.filter_scale.rebalance import rebalance
from ops.bench.filter_scale.restart import Restart, decided, restart
from ops.bench.options import json_option, seed_option
from ops.demo.command import stopped_by_sigterm
from ops.demo.servers import ensure_kafka_alone, new_run
from ops.demo.view import open_console
from ops.embedded.progress import Progress, shown_progress
from ops.topics_admin import delete_all


class Plan(NamedTuple):
    """What to measure. `settings`: of the workers, by name without `ROLLCALL_`."""

    npcs: int
    rounds: int
    rate: int
    seed: int
    settings: dict[str, str]


class Figures(NamedTuple):
    """What was found. `memory`: resident bytes after each stretch."""

    memory: dict[str, int]
    restarts: list[Restart]
    events: list[Event]


@click.command("filter-scale")
@click.option("--npcs", type=click.IntRange(100), default=100_000, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(0), default=3, show_default=True, help="Restarts of each kind."
)
@click.option(
    "--rate",
    type=click.IntRange(0),
    default=800,
    show_default=True,
    help="Snapshots a second while workers come and go; 0: none does.",
)
@click.option(
    "--set",
    "chosen",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the workers, without ROLLCALL_. May be repeated.",
)
@seed_option
@json_option
def filter_scale(
    npcs: int, rounds: int, rate: int, chosen: tuple[str, ...], seed: int, json_file: Path | None
) -> None:
    """Memory for each NPC, seconds to recover, and pauses while workers come and go.

    The filter worker as users run it, on a real Kafka, looked at from outside: resident memory of
    its process, and when the broker appended its commands.
    """
    plan = Plan(npcs, rounds, rate, seed, _settings(chosen))
    with stopped_by_sigterm(), ExitStack() as stack:
        progress = stack.enter_context(shown_progress())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollcall-bench-")))
        connection = ensure_kafka_alone(stack, progress).connection(f"{new_run('filter-scale')}-")
        figures = asyncio.run(_measured(Bed(connection, folder, plan.settings), plan, progress))
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(plan, figures), indent=2) + "\n")
    tell(plan, figures, open_console())


def _settings(chosen: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in chosen]
    wrong = [name for name, equals, _ in pairs if not (name and equals)]
    if wrong:
        raise click.BadParameter("NAME=VALUE is expected.", param_hint="--set")
    return {name.upper(): value for name, _, value in pairs}


async def _measured(bed: Bed, plan: Plan, progress: Progress) -> Figures:
    try:
        return await _measure(bed, plan, progress)
    finally:
        await delete_all(bed.connection)


async def _measure(bed: Bed, plan: Plan, progress: Progress) -> Figures:
    await bed.lay()
    feed = Feed(plan.npcs, plan.seed)
    restarts: list[Restart] = []
    with ExitStack() as stack:
        worker = stack.enter_context(bed.worker())
        memory = await grow(bed, worker, feed, progress)
        async with Commands(bed.connection) as commands:
            for how in (signal.SIGKILL, signal.SIGTERM) * plan.rounds:
                progress.step(f"Starting again after {how.name}")
                await restart(bed, worker, how, feed, commands)
                worker = stack.enter_context(bed.worker())
                restarts.append(await decided(worker, how, commands))
            events = (
                await rebalance(bed, worker, feed, commands, plan.rate, progress)
                if plan.rate
                else []
            )
    return Figures(memory, restarts, events)


# what is told


def tell(plan: Plan, figures: Figures, console: Console) -> None:
    """A table for each part."""
    console.print(memory_table(plan.npcs, figures.memory))
    if figures.restarts:
        console.print(restart_table(figures.restarts))
    if figures.events:
        console.print(pause_table(figures.events))


def memory_table(npcs: int, memory: dict[str, int]) -> Table:
    """Resident memory, and how much more than the empty worker's that is for each NPC."""
    table = _table(f"{npcs:,} NPCs, resident memory", "After", "MB", "bytes for each NPC")
    empty = memory["empty"]
    for name, size in memory.items():
        table.add_row(name, f"{size / 1e6:,.1f}", f"{(size - empty) / npcs:,.0f}")
    return table


def restart_table(restarts: list[Restart]) -> Table:
    """A line for each restart."""
    names = list(dict.fromkeys(name for one in restarts for name in one.phases))
    title = "Started again, seconds since the start of the process"
    table = _table(
        title, "After", *names, "first command", "all partitions", "CPU", "starved", "MB"
    )
    for one in restarts:
        marks = [f"{one.phases[name]:.2f}" if name in one.phases else "-" for name in names]
        seconds = (one.first, one.all_partitions, one.processor, one.starved)
        table.add_row(one.how, *marks, *(f"{s:.2f}" for s in seconds), f"{one.rss / 1e6:,.0f}")
    return table


def pause_table(events: list[Event]) -> Table:
    """A line for each event."""
    title = "Longest pause of a partition, seconds"
    table = _table(title, "Event", "moved", "stayed with its worker", "usual gap")
    for one in events:
        worst = (one.worst(moved=True), one.worst(moved=False))
        shown = ["-" if value is None else f"{value:.2f}" for value in worst]
        table.add_row(one.name, *shown, f"{max(p.usual for p in one.pauses):.3f}")
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def as_json(plan: Plan, figures: Figures) -> dict[str, Any]:
    """Everything that was found."""
    return {
        "options": plan._asdict(),
        "cores": os.cpu_count(),
        "memory": figures.memory,
        "restarts": [one._asdict() for one in figures.restarts],
        "events": [
            {
                "event": one.name,
                "longest_of_moved": one.worst(moved=True),
                "longest_of_others": one.worst(moved=False),
                "partitions": [pause._asdict() for pause in one.pauses],
            }
            for one in figures.events
        ],
    }
