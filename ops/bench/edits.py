"""`rollcall bench edits`: NPCs that edit their memory while the writer writes to it at full rate.

On a real Letta, without Kafka. The NPCs and the judge live with the tests (`tests/npc`), so this
works in a checkout of the repository.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ops.bench.options import json_option, seed_option
from ops.demo.servers import ensure_letta_alone
from ops.embedded.progress import shown_progress
from ops.failure import Failure
from streams.settings import Layout, Settings

NOTES_OF_ONE = 200
"""They stay in its memory, which holds 5,000 characters."""


@click.command()
@click.option(
    "--edits",
    type=click.IntRange(1),
    default=None,
    help="Notes to be written, 200 of one NPC at most. Default: 1000, in a storm 200.",
)
@click.option(
    "--layout",
    type=click.Choice([one.value for one in Layout]),
    default="shared",
    show_default=True,
)
@click.option("--agents", type=click.IntRange(1), default=10, show_default=True, help="NPCs.")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Commands a second over all NPCs; 0: as many as the writer takes.",
)
@click.option(
    "--pause",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Mean seconds between two edits of an NPC.",
)
@click.option(
    "--steps",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of the edits made in whole agent steps; the others use the tool alone.",
)
@seed_option
@click.option("--storm", is_flag=True, help="One NPC with eight hands that never rest.")
@click.option("--alone", is_flag=True, help="No commands: what Letta's tools lose by themselves.")
@json_option
def edits(
    edits: int | None,
    layout: str,
    agents: int,
    rate: float,
    pause: float,
    steps: float,
    seed: int,
    storm: bool,
    alone: bool,
    json_file: Path | None,
) -> None:
    """Look for every note that NPCs wrote through Letta's own tools while commands stream in.

    What became of those that are gone is told from when Letta was read and written. Exits with 1
    when a note was lost neither between a read and a write nor to a tool that wrote an older memory
    back.
    """
    npcs = 1 if storm else agents
    notes = edits or (NOTES_OF_ONE if storm else 1000)
    if notes > npcs * NOTES_OF_ONE:
        raise click.UsageError(f"the notes of {npcs} NPCs, {notes}, would not fit their memory")
    options = _tests().Options(
        edits=notes,
        agents=npcs,
        seed=seed,
        rate=None if alone else rate,
        pause=0.0 if storm else pause,
        steps=steps,
        hands=8 if storm else 1,
    )
    with _only_errors_logged(), ExitStack() as stack:
        with shown_progress() as progress:
            url = ensure_letta_alone(stack, progress).letta_url
        figures = _play(url, options, Settings(layout=Layout(layout)))
    shown = _report(figures)
    Console().print(as_table(shown))
    if json_file:
        json_file.write_text(json.dumps({"options": _told(options), **shown}, indent=2) + "\n")
    raise SystemExit(1 if figures.unexplained else 0)


def as_table(report: dict[str, Any]) -> Table:
    """A line for each figure."""
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    for name, value in _flat(report):
        table.add_row(name, str(value))
    return table


def _flat(report: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in report.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield f"{before}{name}", value


def _play(url: str, options: Any, settings: Settings) -> Any:
    with Progress() as progress:
        task = progress.add_task("Edits", total=options.edits)
        return asyncio.run(
            _tests().run(
                url,
                options,
                settings,
                on_progress=lambda so_far: progress.update(task, completed=len(so_far.edits)),
            )
        )


def _tests() -> Any:
    try:
        from tests.npc import edits
    except ImportError as error:
        message = f"the NPCs come with the repository, not the package: {error}"
        raise Failure(message) from None
    return edits


def _report(figures: Any) -> dict[str, Any]:
    from tests.npc.report import report

    return report(figures)


def _told(options: Any) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__slots__}


@contextmanager
def _only_errors_logged() -> Iterator[None]:
    """A line for each command would tear the progress apart."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)
