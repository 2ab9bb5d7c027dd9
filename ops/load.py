"""`rollcall load`: a roster and its locations, checked as a whole, then published.

Nothing is published while one line is wrong. What the topics hold already counts as well: an NPC
may live at a location loaded before. Only what is new or different is sent, so loading the same
files again sends nothing.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from aiokafka.errors import KafkaError

from ops.failure import Failure
from ops.roster_checks import Checked, Standing, check, orphans
from ops.roster_files import KINDS, SUFFIXES, Kind, Reading, read
from ops.tables import demand_topics, read_models
from topics.catalogue import LOCATIONS, NPC_ROSTER
from topics.connection import KafkaConnection
from topics.decode import decode_location, decode_roster_entry
from topics.models import Location, RosterEntry
from topics.publisher import Failure as Undelivered
from topics.publisher import Publisher

Entry = TypeVar("Entry", RosterEntry, Location)
_NOUNS: dict[Kind, str] = {"npcs": "NPCs", "locations": "locations"}


@dataclass(slots=True)
class Changes:
    """What loading does to one topic: ids of entries, which are sent unless unchanged or kept."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Only on the topic, and kept because nobody asked to prune."""


def changes(wanted: Mapping[str, Entry], standing: Mapping[str, Entry], prune: bool) -> Changes:
    """What has to be sent so that a topic holds what is wanted."""
    rest = sorted(standing.keys() - wanted.keys())
    found = Changes(removed=rest if prune else [], kept=[] if prune else rest)
    for identity, model in wanted.items():
        if identity not in standing:
            found.new.append(identity)
        elif standing[identity] != model:
            found.changed.append(identity)
        else:
            found.unchanged.append(identity)
    return found


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
)
@click.option("--dry-run", is_flag=True, help="Check and tell what would be sent; send nothing.")
@click.option(
    "--prune",
    is_flag=True,
    help="Also remove what the topics hold and the files do not; only NPCs when the files have "
    "only NPCs, only locations when they have only locations.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def load(files: tuple[Path, ...], dry_run: bool, prune: bool, as_json: bool) -> None:
    """Check and publish the NPCs (npc-roster) and the places (locations) of a game.

    A FILE is YAML (.yaml, .yml), JSON (.json) or CSV (.csv). YAML and JSON have `npcs:` and
    `locations:`, one of them or both; in CSV the header decides: a column npc_id makes it a
    roster, a column slug makes it locations.

    \b
    npcs:
      - npc_id: npc-1                # required; the key of all its records
        name: Greta                  # required; what the game calls it in groups
        display_name: Greta the Baker
        description: A baker with flour on both sleeves.
        home_location: market-square # slug of a location
        agent_id: agent-...          # left out: the Letta agent tagged npc:<npc_id>
        letta: http://letta-2:8283   # left out: by its hash, one of ROLLCALL_LETTA_URL
        enabled: true
    locations:
      - slug: market-square          # required
        name: Market Square          # required
        coordinates: [120, 0, -35]   # required; x, y, z in studs
        description: Stalls around a fountain.

    Everything is checked first. Wrong lines are told as FILE:LINE, and then nothing is published.
    """
    strange = [file for file in files if file.suffix not in SUFFIXES]
    if strange:
        raise click.UsageError(f"{strange[0]}: the name must end in {', '.join(SUFFIXES)}.")
    raise SystemExit(asyncio.run(_load(files, dry_run, prune, as_json)))


async def _load(files: Iterable[Path], dry_run: bool, prune: bool, as_json: bool) -> int:
    readings = [read(file) for file in files]
    connection = KafkaConnection.from_environment()
    standing = await _standing_or_complaints(connection, readings)
    kinds = {kind for reading in readings for kind in reading.kinds}
    checked = _checked(readings, standing, kinds if prune else set())
    plan = _plan(checked, standing, kinds, prune)
    if not dry_run:
        await publish_changes(connection, checked, plan)
    _tell(plan, dry_run, as_json)
    return 0


async def _standing_or_complaints(
    connection: KafkaConnection, readings: Sequence[Reading]
) -> Standing:
    """What the topics hold. Without a broker the files are checked alone, before giving up."""
    try:
        await demand_topics(connection, [NPC_ROSTER, LOCATIONS])
        return await _standing(connection)
    except (KafkaError, Failure):
        _checked(readings, _anything(readings), set())
        raise


def _anything(readings: Iterable[Reading]) -> Standing:
    """Every home the files name, as if it stood: only the broker knows which do."""
    homes = {
        cell.text
        for reading in readings
        for entry in reading.entries
        if (cell := entry.cells.get("home_location")) is not None
    }
    place = Location(slug="", name="", coordinates=(0.0, 0.0, 0.0))
    return Standing(locations=dict.fromkeys(homes, place))


async def _standing(connection: KafkaConnection) -> Standing:
    npcs, _ = await read_models(connection, NPC_ROSTER, decode_roster_entry)
    locations, _ = await read_models(connection, LOCATIONS, decode_location)
    return Standing(npcs, locations)


def _checked(readings: Iterable[Reading], standing: Standing, pruned: set[Kind]) -> Checked:
    """The files against what will stand beside them: nothing of a kind that is pruned."""
    beside = Standing(
        {} if "npcs" in pruned else standing.npcs,
        {} if "locations" in pruned else standing.locations,
    )
    checked = check([entry for reading in readings for entry in reading.entries], beside)
    unreadable = [complaint for reading in readings for complaint in reading.complaints]
    _refuse(sorted(unreadable + checked.complaints))
    if "locations" in pruned:
        stay = [npc for npc_id, npc in beside.npcs.items() if npc_id not in checked.npcs]
        _refuse(orphans(stay, standing.locations.keys() - checked.locations.keys()))
    return checked


def _refuse(complaints: Iterable[object]) -> None:
    sentences = [str(complaint) for complaint in complaints]
    if not sentences:
        return
    for sentence in sentences:
        click.echo(sentence, err=True)
    faults = "one fault" if len(sentences) == 1 else f"{len(sentences)} faults"
    raise Failure(f"{faults} found; nothing was published.")


def _plan(
    checked: Checked, standing: Standing, kinds: set[Kind], prune: bool
) -> dict[Kind, Changes]:
    plans = {
        "npcs": changes(checked.npcs, standing.npcs, prune and "npcs" in kinds),
        "locations": changes(checked.locations, standing.locations, prune and "locations" in kinds),
    }
    return {kind: plans[kind] for kind in KINDS if kind in kinds}


async def publish_changes(
    connection: KafkaConnection, checked: Checked, plan: Mapping[Kind, Changes]
) -> None:
    """Send what is new or different; locations first, since NPCs live there. Failure if not all."""
    lost: list[Undelivered] = []
    async with Publisher(connection, on_failure=lost.append) as publisher:
        for kind in sorted(plan):
            await _publish_kind(publisher, kind, checked, plan[kind])
        await publisher.flush()
    if lost:
        raise Failure(f"{len(lost)} records were not taken by Kafka: {lost[0].error}.")


async def _publish_kind(publisher: Publisher, kind: Kind, checked: Checked, plan: Changes) -> None:
    for identity in (*plan.new, *plan.changed):
        if kind == "npcs":
            await publisher.roster(checked.npcs[identity])
        else:
            await publisher.location(checked.locations[identity])
    delete = publisher.delete_roster if kind == "npcs" else publisher.delete_location
    for identity in plan.removed:
        await delete(identity)


def _tell(plan: Mapping[Kind, Changes], dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **{k: _counts(c) for k, c in plan.items()}}))
        return
    for kind, found in plan.items():
        counts = ", ".join(f"{len(ids)} {word}" for word, ids in _counts(found).items() if ids)
        would = "Would publish" if dry_run else "Published"
        click.echo(f"{would} {_NOUNS[kind]}: {counts or 'none'}.")


def _counts(found: Changes) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Changes.__slots__}
