"""`rollcall bench simulate`: the whole road in virtual time, seed after seed.

Needs no server. The simulation itself lives with the tests (docs/simulation.md), so this works in
a checkout of the repository.
"""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from ops.bench.options import json_option
from ops.failure import Failure


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option("--story", is_flag=True, help="Tell the first seed step by step, and no other.")
@json_option
def simulate(seeds: int, start: int, story: bool, json_file: Path | None) -> None:
    """Crashes, rebalances, a failing Letta and writing NPCs, all drawn from a seed.

    Exits with 1 when a promise was broken; `--story --start SEED` tells how.
    """
    try:
        from tests.simulation import run
    except ImportError as error:
        message = f"the simulation comes with the repository, not the package: {error}"
        raise Failure(message) from None
    if story:
        click.echo("\n".join(run.story_of(start)))
        return
    console = Console()
    with Progress(console=console) as progress:
        task = progress.add_task("Seeds", total=seeds)
        figures = run.run_seeds(
            range(start, start + seeds),
            on_seed=lambda so_far: progress.update(task, completed=so_far.seeds),
        )
    console.print("\n".join(told(figures)), highlight=False, soft_wrap=True)
    if json_file:
        json_file.write_text(json.dumps(as_json(figures), indent=2) + "\n")
    raise SystemExit(1 if figures.broken else 0)


def told(figures: Any) -> list[str]:
    """The figures in lines: what ran, what went wrong on purpose, what was broken."""
    rate = figures.seeds / figures.cpu if figures.cpu else 0.0
    hours = figures.virtual_seconds / 3600
    lines = [
        f"{figures.seeds} seeds, {hours:.1f} virtual hours, {figures.snapshots} snapshots",
        f"{figures.seconds:.1f} s, {figures.cpu:.1f} s of one core: {rate:.0f} seeds a second",
        f"{figures.steps} steps at which a process could have been killed",
        f"at most {figures.most_waiting} NPCs waited; {figures.most_unacked} commands unacked",
    ]
    lines += [f"  {count:>8}  {kind}" for kind, count in sorted(figures.counts.items())]
    lines += [f"BROKEN seed {seed}: {promise}" for seed, promise in figures.broken.items()]
    return [*lines, "" if figures.broken else "Every promise was kept."]


def as_json(figures: Any) -> dict[str, Any]:
    """The same for a program."""
    names = ("seeds", "seconds", "cpu", "steps", "snapshots", "virtual_seconds", "most_waiting")
    shown = {name: getattr(figures, name) for name in (*names, "most_unacked")}
    return {**shown, "counts": dict(figures.counts), "broken": figures.broken}
