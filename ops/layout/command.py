"""`rollcall layout`: options and output; the rest is beside it."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ops.failure import Failure
from ops.layout.migration import Fate, Told, agents_of, move_all
from ops.letta_servers import Roster, by_server, opened
from ops.tables import admin_client, demand_topics, members_of, read_models
from streams.letta_servers import LettaServer
from streams.settings import Layout, Settings
from streams.topology import Role, group_id
from streams.writer.layout import NOTES
from topics.catalogue import NPC_ROSTER
from topics.connection import KafkaConnection
from topics.decode import decode_roster_entry
from topics.models import RosterEntry
from topics.text import clip

SHOWN = 50
"""NPCs printed one by one; --json has all."""


@click.group()
def layout() -> None:
    """Where NPCs keep their notes, and moving them to the other layout.

    \b
    shared  in the game's blocks, group_members and status, beside the facts
    split   in a block of their own, group_notes, which rollcall never writes
    """


@layout.command()
@click.argument("npc_ids", metavar="[NPC]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(npc_ids: Sequence[str], as_json: bool) -> None:
    """Tell in which layout each NPC's memory stands.

    "between" is an NPC whose migration broke off, or one that had none after ROLLCALL_LAYOUT
    changed: nothing is lost, and `rollcall layout migrate` goes on. Exits with 1 when Letta could
    not tell of somebody.
    """
    wanted = Settings().layout
    told = asyncio.run(_go(npc_ids, wanted, dry_run=True, as_json=as_json))
    if as_json:
        npcs = [_standing(one) for one in told]
        click.echo(json.dumps({"setting": wanted, "npcs": npcs}, indent=2))
    else:
        _print(_standings(told[:SHOWN]), len(told))
        counts = Counter("unknown" if _is_unknown(one) else one.standing.value for one in told)
        click.echo(f"ROLLCALL_LAYOUT is {wanted.value}; {_counted(counts)}.")
    raise SystemExit(int(any(_is_unknown(one) for one in told)))


@layout.command()
@click.argument("npc_ids", metavar="[NPC]...", nargs=-1)
@click.option(
    "--to",
    "target",
    type=click.Choice([one.value for one in Layout]),
    help="The layout to move to. Default: ROLLCALL_LAYOUT.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would move, in numbers; write nothing.")
@click.option(
    "--while-running",
    is_flag=True,
    help="Also while writers run. They have to run in the layout moved to.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def migrate(
    npc_ids: Sequence[str], target: str | None, dry_run: bool, while_running: bool, as_json: bool
) -> None:
    """Move what NPCs noted to the other layout: of all NPCs of the roster, or of those named.

    Stop the writers, migrate, set ROLLCALL_LAYOUT and start them. Nothing is taken away before it
    stands in its new place, so that this can be broken off and repeated.

    \b
    rollcall layout migrate --to split --dry-run
    rollcall layout migrate --to split
    rollcall layout migrate --to shared npc-7

    Exits with 1 when an NPC was refused or failed; it keeps all its notes.
    """
    wanted = Layout(target) if target else Settings().layout
    guarded = not (dry_run or while_running)
    told = asyncio.run(
        _go(npc_ids, wanted, dry_run=dry_run, as_json=as_json, only_when_idle=guarded)
    )
    if as_json:
        click.echo(json.dumps([_moved(one) for one in told], indent=2))
    else:
        _print(_moves(told[:SHOWN], dry_run), len(told))
        counts = Counter(_fate(one, dry_run) for one in told)
        click.echo(f"To {wanted.value}: {_counted(counts)}.")
    raise SystemExit(int(any(one.fate in (Fate.REFUSED, Fate.FAILED) for one in told)))


async def _go(
    npc_ids: Sequence[str],
    wanted: Layout,
    *,
    dry_run: bool,
    as_json: bool,
    only_when_idle: bool = False,
) -> list[Told]:
    """Moves those NPCs, or only looks; in the order of the roster."""
    connection, settings = KafkaConnection.from_environment(), Settings()
    roster = await _roster(connection, npc_ids)
    if only_when_idle:
        await _demand_idle(connection)
    told: dict[str, Told] = {}
    console = Console(stderr=True)
    with Progress(console=console, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("NPCs", total=len(roster))

        def hear(one: Told) -> None:
            told[one.npc_id] = one
            progress.advance(task)

        for server, npcs in _shares(settings, roster).items():
            async with opened(server, settings) as store:
                agents = await agents_of(list(npcs.values()), store)
                await move_all(agents, store, wanted, hear, dry_run=dry_run)
    return [told[npc_id] for npc_id in roster if npc_id in told]


def _shares(settings: Settings, roster: Mapping[str, RosterEntry]) -> dict[LettaServer, Roster]:
    shares, lost = by_server(settings, roster)
    if lost:
        raise Failure(f"the roster names a Letta server for {lost[0]} that is not configured.")
    return {server: npcs for server, npcs in shares.items() if npcs}


async def _roster(connection: KafkaConnection, npc_ids: Sequence[str]) -> Mapping[str, RosterEntry]:
    await demand_topics(connection, [NPC_ROSTER])
    roster, unreadable = await read_models(connection, NPC_ROSTER, decode_roster_entry)
    for sentence in unreadable:
        click.echo(f"{sentence}; it is ignored.", err=True)
    unknown = [npc_id for npc_id in npc_ids if npc_id not in roster]
    if unknown:
        raise Failure(f"the roster has no NPC {clip(unknown[0], 80)!r}.")
    if not roster:
        raise Failure("the roster is empty; `rollcall load FILE` fills it.")
    return {npc_id: roster[npc_id] for npc_id in dict.fromkeys(npc_ids or sorted(roster))}


async def _demand_idle(connection: KafkaConnection) -> None:
    async with admin_client(connection) as admin:
        workers = await members_of(admin, group_id(Role.WRITER, connection.topic_prefix))
    if workers:
        verb = "1 writer runs" if workers == 1 else f"{workers} writers run"
        raise Failure(
            f"{verb} and may undo what is moved; stop them first, or give --while-running"
            " if they run in the layout moved to."
        )


# -- output ----------------------------------------------------------------------------------------


def _is_unknown(one: Told) -> bool:
    return one.fate is Fate.FAILED


def _fate(one: Told, dry_run: bool) -> str:
    names = {Fate.MOVED: "to move" if dry_run else "moved", Fate.REFUSED: "do not fit"}
    others = {Fate.THERE: "there already", Fate.EMPTY: "without blocks", Fate.NO_AGENT: "no agent"}
    return (names | others).get(one.fate, one.fate.value)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items()) or "no NPC"


def _standing(one: Told) -> dict[str, Any]:
    standing = None if _is_unknown(one) or one.fate is Fate.NO_AGENT else one.standing
    shown = {"npc_id": one.npc_id, "agent_id": one.agent_id, "standing": standing}
    return {**shown, "details": one.details} if one.details else shown


def _moved(one: Told) -> dict[str, Any]:
    return asdict(one)


def _standings(told: Sequence[Told]) -> Table:
    table = Table("NPC", "layout", "details", box=None)
    for one in told:
        standing = one.fate.value if one.agent_id is None or _is_unknown(one) else one.standing
        table.add_row(one.npc_id, str(standing), one.details)
    return table


def _moves(told: Sequence[Told], dry_run: bool) -> Table:
    table = Table("NPC", "", box=None)
    table.add_column("fields", justify="right")
    table.add_column("characters", justify="right")
    table.add_column("blocks in the end")
    for one in told:
        sizes = ", ".join(f"{label} {_size_of(label, one)}" for label in one.sizes)
        numbers = (f"{one.fields:,}", f"{one.characters:,}")
        table.add_row(one.npc_id, _fate(one, dry_run), *numbers, one.details or sizes)
    return table


def _size_of(label: str, one: Told) -> str:
    size = f"{one.sizes[label]:,}"
    is_larger = label == NOTES and one.notes_limit
    return f"{size} (limit raised to {one.notes_limit:,})" if is_larger else size


def _print(table: Table, count: int) -> None:
    Console(highlight=False).print(table)
    if count > SHOWN:
        click.echo(f"... and {count - SHOWN:,} more; --json has all.")
