"""`rollcall block`: options and output; the rest is beside it."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import NamedTuple, TypeVar

import click
from rich.console import Console
from rich.text import Text

from ops.failure import Failure
from ops.history import as_json as programs
from ops.history import view
from ops.history.live import look
from ops.history.memory import UNKNOWN
from ops.history.reader import Found, Reader, Told
from ops.history.standing import Live
from ops.history.timeline import Timeline, told
from ops.moment import Moment, iso
from ops.npc_id import NpcId
from ops.records import OnProgress
from streams.settings import Settings
from topics.connection import KafkaConnection

Each = TypeVar("Each")


@click.command(epilog=f"How far back it reaches: {view.kept()}. The first record found is told.")
@click.argument("npc_id", metavar="NPC", type=NpcId())
@click.option("--at", type=Moment(), help="What the memory was then. Default: what it is.")
@click.option("--diff", is_flag=True, help="All changes instead of the last state, newest last.")
@click.option("--last", type=click.IntRange(1), help="With --diff: only the last N entries.")
@click.option(
    "--live/--no-live",
    default=None,
    help="Ask Letta, too, what stands in the blocks. Default: unless --at is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def block(
    npc_id: str, at: float | None, diff: bool, last: int | None, live: bool | None, as_json: bool
) -> None:
    """What an NPC's memory was, how it changed, and what stands there now.

    Letta keeps no history of a block. This one is made of the commands to the NPC and of their
    results, so it tells the game's part: members, appearances, location and action. Of what the NPC
    itself wrote it knows conflicts, and what stands in Letta now. A TIME is ISO 8601 (UTC without a
    zone), seconds since the epoch, or how long ago: 90s, -10m, 2h, 3d.
    """
    if last is not None and not diff:
        raise click.UsageError("--last goes with --diff.")
    asyncio.run(
        _block(npc_id, at, Wanted(diff, last, at is None if live is None else live, as_json))
    )


class Wanted(NamedTuple):
    """What to print, and how."""

    diff: bool
    last: int | None
    """With `diff`: so many entries; None: all."""
    live: bool
    as_json: bool


async def _block(npc_id: str, at: float | None, wanted: Wanted) -> None:
    connection, settings = KafkaConnection.from_environment(), Settings()
    with _progress() as on_topic:
        found = await Reader(connection, npc_id, on_topic).read()
    then = found.timeline if at is None else found.timeline.at(at)
    _demand_something(npc_id, found, then, at)
    # A warning of the store's, should there be one, is no part of the output.
    with redirect_stdout(sys.stderr):
        live = await look(settings, npc_id, found.entry) if wanted.live else None
    if wanted.as_json:
        entries = _last(then.entries, wanted.last) if wanted.diff else None
        document = programs.document(npc_id, then, found.unreadable, at, entries, live)
        click.echo(json.dumps(document, indent=2))
    else:
        console = Console(highlight=False)
        for line in _lines(npc_id, then, found.unreadable, wanted, live):
            console.print(line, soft_wrap=True)


def _last(entries: Sequence[Each], count: int | None) -> Sequence[Each]:
    return entries if count is None else entries[-count:]


def _demand_something(npc_id: str, found: Found, then: Timeline, at: float | None) -> None:
    if found.timeline.since is None and found.entry is None:
        also = f", but for {_unreadable(found.unreadable)}" if found.unreadable else ""
        raise Failure(f"{npc_id} is unknown: not in the roster, and no record is about it{also}.")
    if at is not None and not then.entries and not then.pending:
        raise Failure(f"nothing is known of {npc_id} at {iso(at)}. {view.reach(found.timeline)}")


def _lines(
    npc_id: str, timeline: Timeline, unreadable: int, wanted: Wanted, live: Live | None
) -> Iterator[Text]:
    groups = [_changes(timeline, wanted.last) if wanted.diff else view.card(npc_id, timeline)]
    if live is not None:
        known = timeline.newest.after if timeline.newest else UNKNOWN
        groups.append(view.live_lines(live, known))
    groups.append(_footer(timeline, unreadable))
    return view.joined(groups)


def _changes(timeline: Timeline, last: int | None) -> Iterator[Text]:
    entries = list(told(timeline.entries))
    shown = _last(entries, last)
    if len(shown) < len(entries):
        yield Text(f"Earlier entries left out: {len(entries) - len(shown):,}.", style="dim")
    for entry in shown:
        yield from view.entry_lines(entry)
    if not entries:
        yield Text("No command has a result yet.")
    yield from view.pending_lines(timeline)


def _footer(timeline: Timeline, unreadable: int) -> Iterator[Text]:
    yield Text(view.reach(timeline), style="dim")
    if unreadable:
        yield Text(f"{_unreadable(unreadable)}.")


def _unreadable(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'} could not be read"


@contextmanager
def _progress() -> Iterator[Told]:
    """Says on a terminal how far the reading is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _topic: lambda _done, _total: None
        return
    with console.status("Reading...") as status:

        def on_topic(topic: str) -> OnProgress:
            return lambda done, total: status.update(f"Reading {topic}: {done:,} of {total:,}")

        yield on_topic
