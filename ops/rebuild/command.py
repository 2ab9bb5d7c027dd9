"""`rollcall rebuild`: asks, then starts again from the topics."""

import asyncio
import json

import click
from rich.console import Console
from rich.table import Table

from ops.moment import Moment
from ops.rebuild.carry_out import carry_out, demand_rest, plan_of
from ops.rebuild.plan import Plan, as_json
from ops.tables import demand_topics
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--since",
    type=Moment(),
    help="Read snapshots from this time on: 2026-11-23T09:33Z, seconds since the epoch, or how "
    "long ago (2h, 3d). Default: all that the topic keeps.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be done; do nothing.")
@click.option(
    "--json", "as_json_wanted", is_flag=True, help="Print JSON; needs --yes or --dry-run."
)
def rebuild(yes: bool, since: float | None, dry_run: bool, as_json_wanted: bool) -> None:
    """Forget what the filter knows, and have it made anew from the snapshots.

    Deletes the filter's states and sightings and the commands that the writer has parked, and sets
    the filter back on npc-snapshots. Every filter and writer must be stopped; once they run again,
    each NPC whose snapshots are still kept is compared with its memory. Memory in Letta and what
    NPCs wrote there are not touched.

    Exits with 1 while a worker runs.
    """
    if as_json_wanted and not (yes or dry_run):
        raise click.UsageError("--json goes with --yes or --dry-run.")
    connection = KafkaConnection.from_environment()
    plan = asyncio.run(_plan(connection, since))
    if not as_json_wanted:
        _print(plan)
    if not dry_run:
        if not yes:
            click.confirm("Start again from there?", abort=True)
        asyncio.run(carry_out(connection, plan))
    if as_json_wanted:
        click.echo(json.dumps(as_json(plan, done=not dry_run), indent=2))
    elif not dry_run:
        click.echo(_done(plan))


async def _plan(connection: KafkaConnection, since: float | None) -> Plan:
    await demand_topics(connection, [NPC_SNAPSHOTS])
    await demand_rest(connection)
    return await plan_of(connection, since)


def _done(plan: Plan) -> str:
    return (
        f"{_counted(plan.entries, 'entry', 'entries')} deleted; start the workers, and the filter "
        f"reads {_counted(plan.records, 'snapshot', 'snapshots')}."
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _print(plan: Plan) -> None:
    console = Console(highlight=False, markup=False)
    for topic, keys in plan.live.items():
        entries = _counted(len(keys), "entry", "entries")
        console.print(f"{topic}: {entries} to delete", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("partition", "stands at", "goes to", "end", "to read"):
        table.add_column(column, justify="right")
    for rewind in filter(lambda rewind: rewind.end, plan.rewinds):
        stands = "-" if rewind.committed is None else f"{rewind.committed:,}"
        rest = (f"{number:,}" for number in (rewind.target, rewind.end, rewind.records))
        table.add_row(str(rewind.partition), stands, *rest)
    console.print(table)
