"""`rollcall check`: is everything in place, told in plain words, with what to do about it.

Each finding is `ok`, `wrong` (exit code 1) or a `note`. What depends on something unreachable is
left out rather than guessed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import click
from aiokafka.errors import KafkaError
from letta_client import APIError, AsyncLetta
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from ops.failure import Failure, sentence_of, wrong_settings
from ops.layout.migration import Told, agents_of, move_all
from ops.layout.steps import Standing
from ops.letta_servers import by_server, opened
from ops.tables import admin_client, demand_topics, members_of, read_models
from ops.topics_admin import Observed, alterations, observe
from streams.letta_servers import LettaServer
from streams.settings import Layout, Settings
from streams.topology import Role, group_id
from topics.catalogue import CATALOGUE, LOCATIONS, NPC_ROSTER, differences
from topics.connection import ConnectionSettingsError, KafkaConnection
from topics.decode import decode_location, decode_roster_entry
from topics.models import RosterEntry
from topics.text import fold

AGENT_TAG = "npc:"
_SHOWN = 5
_SAMPLE = 5
_AGENTS_PER_PAGE = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `state`: ok, wrong or note."""

    subject: str
    state: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    """All is well with it."""
    return Finding(subject, "ok", sentence)


def wrong(subject: str, sentence: str) -> Finding:
    """It has to be mended."""
    return Finding(subject, "wrong", sentence)


def note(subject: str, sentence: str) -> Finding:
    """Worth knowing; not a fault."""
    return Finding(subject, "note", sentence)


async def look() -> AsyncIterator[Finding]:
    """Everything, in the order in which things depend on each other."""
    try:
        connection, settings = KafkaConnection.from_environment(), Settings()
    except ConnectionSettingsError as error:
        yield wrong("settings", f"{error}.")
        return
    except ValidationError as error:
        yield wrong("settings", f"{wrong_settings(error)}.")
        return
    yield ok("settings", f"mode {settings.mode}; `rollcall config` prints them all.")
    roster: dict[str, RosterEntry] | None = None
    try:
        async for finding in look_at_kafka(connection):
            yield finding
        await demand_topics(connection, [NPC_ROSTER, LOCATIONS])
        roster, findings = await look_at_roster(connection)
        for finding in findings:
            yield finding
    except Failure as error:
        yield wrong("roster", error.message)
    except (KafkaError, OSError, ConnectionSettingsError) as error:
        yield wrong("kafka", sentence_of(error) or str(error))
    async for finding in look_at_letta(settings, roster):
        yield finding


async def look_at_kafka(connection: KafkaConnection) -> AsyncIterator[Finding]:
    """The broker, the topics and who works on them."""
    async with admin_client(connection) as admin:
        brokers = (await admin.describe_cluster())["brokers"]
        yield ok("kafka", f"reached at {connection.broker}, {_counted(len(brokers), 'broker')}.")
        observed = await observe(admin, [connection.topic(topic.name) for topic in CATALOGUE])
        for finding in topic_findings(connection, observed):
            yield finding
        for role in Role:
            members = await members_of(admin, group_id(role, connection.topic_prefix))
            sentence = _counted(members, "worker") if members else "no worker runs"
            yield note("workers", f"{role}: {sentence}.")


def topic_findings(connection: KafkaConnection, observed: Mapping[str, Observed]) -> list[Finding]:
    """Where topics are not what the catalogue says; keeping records for longer is no fault."""
    findings: list[Finding] = []
    for topic in CATALOGUE:
        name = connection.topic(topic.name)
        found = observed.get(name)
        kept = alterations(topic, found.topic)[1] if found else []
        findings += [note("topics", f"{name}: {sentence}.") for sentence in kept]
        findings += [
            wrong("topics", f"{name}: {difference}; `rollcall topics apply` may help.")
            for difference in differences(topic, found.topic if found else None)
            if not any(sentence.startswith(difference.partition(":")[0]) for sentence in kept)
        ]
    if not any(finding.state == "wrong" for finding in findings):
        findings.append(ok("topics", f"all {len(CATALOGUE)} are there, as the catalogue says."))
    return findings


async def look_at_roster(
    connection: KafkaConnection,
) -> tuple[dict[str, RosterEntry], list[Finding]]:
    """The static caches as workers will read them."""
    npcs, unreadable = await read_models(connection, NPC_ROSTER, decode_roster_entry)
    locations, unreadable_too = await read_models(connection, LOCATIONS, decode_location)
    findings = [
        wrong("roster", f"{sentence}; it is ignored.") for sentence in unreadable + unreadable_too
    ]
    findings += [wrong("roster", sentence) for sentence in roster_faults(npcs, locations.keys())]
    if not npcs:
        findings.append(wrong("roster", "it is empty; `rollcall load FILE` fills it."))
    elif not findings:
        counts = f"{_counted(len(npcs), 'NPC')} at {_counted(len(locations), 'location')}"
        findings.append(ok("roster", f"{counts}."))
    return npcs, findings


def roster_faults(npcs: Mapping[str, RosterEntry], slugs: Iterable[str]) -> Iterator[str]:
    """Sentences on homes that do not exist and names that two NPCs share."""
    known = set(slugs)
    owners: dict[str, str] = {}
    for npc in npcs.values():
        if npc.home_location and npc.home_location not in known:
            yield f"{npc.npc_id} lives at {npc.home_location!r}, which is no location."
        for name in {fold(npc.name), fold(npc.display_name)} - {""}:
            owner = owners.setdefault(name, npc.npc_id)
            if owner != npc.npc_id:
                yield f"{npc.npc_id} and {owner} are both called {name!r}."


async def look_at_letta(
    settings: Settings, roster: Mapping[str, RosterEntry] | None
) -> AsyncIterator[Finding]:
    """Each server, whether each NPC of the roster has its agent, and where some keep notes."""
    shares, lost = by_server(settings, roster or {})
    for npc_id in lost[:_SHOWN]:
        yield wrong(
            "roster", f"{npc_id} is on a Letta server that ROLLCALL_LETTA_URL does not name."
        )
    for server, npcs in shares.items():
        async for finding in look_at_server(settings, server, npcs):
            yield finding


async def look_at_server(
    settings: Settings, server: LettaServer, npcs: Mapping[str, RosterEntry]
) -> AsyncIterator[Finding]:
    """One server and the NPCs on it."""
    async with AsyncLetta(base_url=server.url, api_key=server.token, max_retries=0) as letta:
        try:
            health = await letta.health()
            yield ok("letta", f"reached at {server.name}, version {health.version}.")
            if npcs:
                ids, tags = await _agents(letta)
                yield missing_agents(npcs, ids, tags)
                yield await look_at_layout(settings, server, list(npcs.values())[:_SAMPLE])
        except APIError as error:
            yield wrong("letta", f"{server.name}: {sentence_of(error)}")


async def look_at_layout(
    settings: Settings, server: LettaServer, npcs: Sequence[RosterEntry]
) -> Finding:
    """Whether the memory of some NPCs stands in the layout that the settings name."""
    told = list[Told]()
    try:
        async with opened(server, settings) as store:
            agents = await agents_of(npcs, store)
            await move_all(agents, store, settings.layout, told.append, dry_run=True)
    except Failure as failure:
        return note("layout", f"could not be looked at: {failure}")
    return layout_finding(settings.layout, [one.standing for one in told])


def layout_finding(wanted: Layout, standings: Sequence[Standing]) -> Finding:
    """Nothing is lost in another layout, but notes are not where the NPC is told to keep them."""
    other = [one for one in standings if one not in (Standing.EMPTY, wanted.value)]
    if not other:
        return ok("layout", f"{wanted.value}, as far as {_counted(len(standings), 'NPC')} tell.")
    return note(
        "layout",
        f"ROLLCALL_LAYOUT is {wanted.value}; of {_counted(len(standings), 'NPC')} looked at,"
        f" {len(other)} stand otherwise. `rollcall layout migrate` moves them.",
    )


async def _agents(letta: AsyncLetta) -> tuple[set[str], set[str]]:
    """Ids and tags of all agents."""
    ids: set[str] = set()
    tags: set[str] = set()
    async for agent in letta.agents.list(include=["agent.tags"], limit=_AGENTS_PER_PAGE):
        ids.add(agent.id)
        tags.update(agent.tags)
    return ids, tags


def missing_agents(roster: Mapping[str, RosterEntry], ids: set[str], tags: set[str]) -> Finding:
    """Whether each enabled NPC's agent exists, by id or else by tag."""
    missing = [
        npc.npc_id
        for npc in roster.values()
        if npc.enabled
        and not (npc.agent_id in ids if npc.agent_id else f"{AGENT_TAG}{npc.npc_id}" in tags)
    ]
    if not missing:
        return ok("agents", "each NPC of the roster has its Letta agent.")
    named = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
    count = _counted(len(missing), "NPC")
    return wrong("agents", f"no Letta agent for {count}: {named}; their updates wait for one.")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool) -> None:
    """Tell whether Kafka, Letta, topics, roster and agents are in place.

    Exits with 1 when something has to be mended.
    """
    raise SystemExit(asyncio.run(_check(as_json)))


async def _check(as_json: bool) -> int:
    findings: list[Finding] = []
    console = Console(highlight=False)
    async for finding in look():
        findings.append(finding)
        if not as_json:
            console.print(_line(finding), soft_wrap=True)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.state == "wrong" for finding in findings))


def _line(finding: Finding) -> Text:
    colour = {"ok": "green", "wrong": "bold red", "note": "cyan"}[finding.state]
    return Text.assemble(
        (f"{finding.state:<6}", colour), f"{finding.subject:<9} {finding.sentence}"
    )
