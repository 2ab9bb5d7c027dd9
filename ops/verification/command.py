"""`rollcall verify`: have memories compared with the filter's states, and mended."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from ops.failure import Failure
from ops.tables import (
    admin_client,
    demand_topics,
    members_of,
    missing_topics,
    read_models,
    read_table,
    silence_client,
)
from ops.verification import view
from ops.verification.ask import ask
from ops.verification.asking import Asking, Fate, Verified
from ops.verification.states import Known, known, unknown
from streams.topology import Role, changelog, group_id
from topics.catalogue import NPC_ROSTER, NPC_UPDATE_RESULTS, NPC_VERIFY_REQUESTS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_key, decode_roster_entry

STATES = changelog(Role.FILTER, "groups")


def _npc_ids(_ctx: click.Context, _option: click.Parameter, value: Sequence[str]) -> Sequence[str]:
    try:
        return [decode_key(npc_id.encode()) for npc_id in value]
    except (DecodeError, UnicodeEncodeError) as error:
        reason = str(error).partition(": ")[2] or "not UTF-8"
        raise click.BadParameter(f"that is no NPC's id: {reason}.") from None


@click.command()
@click.argument("npc_ids", metavar="[NPC]...", nargs=-1, callback=_npc_ids)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait for an NPC's answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(npc_ids: Sequence[str], timeout: float, as_json: bool) -> None:
    """Compare memories in Letta with what was last pushed, and mend what differs.

    For these NPCs, or for all that the filter has a state of. Each costs one read of Letta where
    nothing differs. Workers do the same for a few NPCs now and then by themselves
    (ROLLCALL_VERIFY_SAMPLE). Needs a filter and a writer that run.

    \b
    rollcall verify npc-7 npc-8
    rollcall verify --json | jq .counts

    Exits with 1 unless every memory is as it should be in the end.
    """
    connection = KafkaConnection.from_environment()
    found, states = asyncio.run(_verify(connection, npc_ids, timeout))
    if as_json:
        click.echo(json.dumps(view.as_json(found, states), indent=2))
    else:
        _print(found, states)
    raise SystemExit(0 if view.is_all_well(found) else 1)


async def _verify(
    connection: KafkaConnection, npc_ids: Sequence[str], timeout: float
) -> tuple[list[Verified], Known]:
    silence_client()
    await demand_topics(connection, [NPC_VERIFY_REQUESTS, NPC_UPDATE_RESULTS, NPC_ROSTER])
    await _demand_workers(connection)
    states = await _states(connection)
    wanted = list(dict.fromkeys(npc_ids or [*states.well, *states.damaged]))
    found = list(_settled_before(wanted, states, await _disabled(connection)))
    left = Asking.about(_without(found, wanted), timeout)
    hopeless = [npc_id for npc_id in wanted if npc_id in states.damaged]
    with _progress(len(wanted), len(found)) as step:
        async for one in ask(connection, left, hopeless):
            found.append(one)
            step()
    return await _explained(connection, found, timeout), states


async def _demand_workers(connection: KafkaConnection) -> None:
    """A Failure unless both roles run that an answer needs."""
    for role, members in (await _members(connection)).items():
        if not members:
            raise Failure(
                f"no {role} runs, so nobody would answer; start one with "
                f"`rollcall worker --roles {role}`."
            )


async def _members(connection: KafkaConnection) -> dict[Role, int]:
    async with admin_client(connection) as admin:
        return {
            role: await members_of(admin, group_id(role, connection.topic_prefix))
            for role in (Role.FILTER, Role.WRITER)
        }


async def _states(connection: KafkaConnection) -> Known:
    if await missing_topics(connection, [STATES]):
        return Known()
    return known(await read_table(connection, STATES))


async def _disabled(connection: KafkaConnection) -> set[str]:
    roster, _ = await read_models(connection, NPC_ROSTER, decode_roster_entry)
    return {entry.npc_id for entry in roster.values() if not entry.enabled}


def _settled_before(
    npc_ids: Sequence[str], states: Known, disabled: set[str]
) -> Iterator[Verified]:
    """Those of whom it is clear already that nobody will answer for them."""
    for npc_id in unknown(npc_ids, states):
        yield Verified(npc_id, Fate.NEVER_SEEN, "the filter has no state of it")
    for npc_id in npc_ids:
        if npc_id in states.damaged:
            why = f"{states.damaged[npc_id]}; dropped, the next snapshot rebuilds it"
            yield Verified(npc_id, Fate.DAMAGED, why)
        elif npc_id in disabled and npc_id in states:
            yield Verified(npc_id, Fate.DISABLED, "the roster says to leave it alone")


def _without(found: Iterable[Verified], npc_ids: Iterable[str]) -> list[str]:
    settled = {one.npc_id for one in found}
    return [npc_id for npc_id in npc_ids if npc_id not in settled]


async def _explained(
    connection: KafkaConnection, found: list[Verified], timeout: float
) -> list[Verified]:
    """The same, with a reason for each NPC that nobody answered for."""
    if all(one.fate is not Fate.NO_ANSWER for one in found):
        return found
    gone = [role for role, members in (await _members(connection)).items() if not members]
    why = f"no {gone[0]} runs any more" if gone else view.silence(timeout)
    return [replace(one, why=why) if one.fate is Fate.NO_ANSWER else one for one in found]


Step = Callable[[], None]


@contextmanager
def _progress(total: int, done: int) -> Iterator[Step]:
    """A line on standard error, where that is a terminal, that a call moves on by one."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("Verifying"), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda: progress.advance(task)


def _print(found: Sequence[Verified], states: Known) -> None:
    console = Console(highlight=False, markup=False)
    table = view.table_of(found)
    if table:
        console.print(table)
    for line in filter(None, (view.silent(view.silent_of(found, states)), view.sums(found))):
        console.print(line, soft_wrap=True)
