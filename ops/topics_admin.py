"""`rollcall topics`: the catalogue on a broker, created, altered and compared.

missing                  created
settings differ          altered; settings that the catalogue does not name stay as they are
kept for longer          left alone: shortening a retention deletes records
partitions differ        refused: adding some would send the keys of old records elsewhere
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code
from rich.console import Console
from rich.table import Table

from ops.failure import Failure
from ops.tables import admin_client
from topics.catalogue import CATALOGUE, ObservedTopic, Topic, differences
from topics.connection import KafkaConnection

KNOWN_PATIENCE = 15.0
"""Seconds in which a broker must know topics it has created."""

_RETENTIONS = ("retention.ms", "retention.bytes")
_SET_ON_TOPIC = 1
"""Kafka's `config_source` of a setting that somebody gave to this very topic."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A topic of the broker. `own`: the settings that were given to this very topic."""

    topic: ObservedTopic
    replicas: int
    own: dict[str, str]


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about a topic: `created`, `altered`, `unchanged` or `refused`, and why."""

    topic: str
    deed: str
    details: list[str] = field(default_factory=list)


async def observe(admin: Any, names: list[str]) -> dict[str, Observed]:
    """Those of the topics that exist, by their full name."""
    there = set(await admin.list_topics())
    names = [name for name in names if name in there]
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = _configs(await admin.describe_configs(resources))
    return {
        found["topic"]: Observed(
            ObservedTopic(
                partitions=len(found["partitions"]),
                configs={name: value for name, (value, _) in configs[found["topic"]].items()},
            ),
            replicas=min(len(partition["replicas"]) for partition in found["partitions"]),
            own={
                name: value
                for name, (value, source) in configs[found["topic"]].items()
                if source == _SET_ON_TOPIC
            },
        )
        for found in await admin.describe_topics(names)
    }


async def _default_replication(admin: Any) -> int:
    # aiokafka knows no "-1", by which newer brokers would take their default themselves.
    broker = (await admin.describe_cluster())["brokers"][0]["node_id"]
    name = "default.replication.factor"
    resource = ConfigResource(ConfigResourceType.BROKER, str(broker), configs={name: ""})
    return int(_configs(await admin.describe_configs([resource]))[str(broker)][name][0])


def _configs(responses: list[Any]) -> dict[str, dict[str, tuple[str, int]]]:
    """Value and source of each setting, by topic."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for response in responses:
        for code, message, _, topic, entries in response.resources:
            _raise_for(code, message)
            found[topic] = {name: (value, source) for name, value, _, source, *_ in entries}
    return found


def _raise_for(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message or "")


async def apply(connection: KafkaConnection, replication: int | None = None) -> list[Deed]:
    """Make the broker's topics those of the catalogue, as far as that loses nothing.

    `replication`: copies of each new topic; None is the broker's own default.
    """
    async with admin_client(connection) as admin:
        replication = replication or await _default_replication(admin)
        observed = await observe(admin, [connection.topic(topic.name) for topic in CATALOGUE])
        deeds = [
            await _settle(
                admin,
                topic,
                connection.topic(topic.name),
                observed.get(connection.topic(topic.name)),
                replication,
            )
            for topic in CATALOGUE
        ]
        await _until_known(admin, [deed.topic for deed in deeds if deed.deed == "created"])
        return deeds


async def delete_all(connection: KafkaConnection) -> None:
    """Delete every topic under the connection's prefix: those of a run that is over."""
    async with admin_client(connection) as admin:
        names = await admin.list_topics()
        if ours := [name for name in names if name.startswith(connection.topic_prefix)]:
            await admin.delete_topics(ours)


async def _until_known(admin: Any, names: list[str]) -> None:
    """A broker may answer for a moment as if new topics did not exist."""
    deadline = time.monotonic() + KNOWN_PATIENCE
    while not set(names) <= set(await admin.list_topics()):
        if time.monotonic() > deadline:
            raise Failure(f"{names[0]} was created, but the broker does not know it yet.")
        await asyncio.sleep(0.1)


async def _settle(
    admin: Any, topic: Topic, name: str, observed: Observed | None, replication: int
) -> Deed:
    if observed is None:
        await _create(admin, topic, name, replication)
        return Deed(name, "created", [f"{topic.partitions} partitions, {topic.cleanup}"])
    if observed.topic.partitions != topic.partitions:
        return Deed(name, "refused", [_partitions_differ(topic, observed.topic)])
    wanted, kept = alterations(topic, observed.topic)
    if not wanted:
        return Deed(name, "unchanged", kept)
    await _alter(admin, name, observed.own | wanted)
    details = [f"{key}: {observed.topic.configs.get(key)} -> {new}" for key, new in wanted.items()]
    return Deed(name, "altered", details + kept)


def _partitions_differ(topic: Topic, observed: ObservedTopic) -> str:
    return (
        f"it has {observed.partitions} partitions, {topic.partitions} are expected; "
        "changing them would send the keys of old records elsewhere, so create it anew"
    )


def alterations(topic: Topic, observed: ObservedTopic) -> tuple[dict[str, str], list[str]]:
    """The settings to change, and a sentence for each that is left as it is."""
    wanted: dict[str, str] = {}
    kept: list[str] = []
    for name, expected in topic.configs.items():
        actual = observed.configs.get(name, expected)
        if _same(actual, expected):
            continue
        if name in _RETENTIONS and _keeps_more(actual, expected):
            kept.append(f"{name} stays {actual}: the catalogue's {expected} would delete records")
        else:
            wanted[name] = expected
    return wanted, kept


def _same(actual: str, expected: str) -> bool:
    return {part.strip() for part in actual.split(",")} == set(expected.split(","))


def _keeps_more(actual: str, expected: str) -> bool:
    """-1 is for ever."""
    return expected != "-1" and (actual == "-1" or int(actual) > int(expected))


async def _create(admin: Any, topic: Topic, name: str, replication: int) -> None:
    new = NewTopic(name, topic.partitions, replication, topic_configs=topic.configs)
    answer = await admin.create_topics([new])
    for _, code, message in answer.topic_errors:
        # Somebody else may have made it in this moment, by the same catalogue.
        if code != TopicAlreadyExistsError.errno:
            _raise_for(code, f"{name}: {message}")


async def _alter(admin: Any, name: str, settings: Mapping[str, str]) -> None:
    """Kafka forgets whatever is not named here, so this takes all settings of the topic."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(settings))
    for response in await admin.alter_configs([resource]):
        for code, message, *_ in response.resources:
            _raise_for(code, f"{name}: {message}")


@click.group()
def topics() -> None:
    """Create the topics of rollcall, or compare those of a broker.

    All topic names get the prefix of ROLLCALL_TOPIC_PREFIX.
    """


@topics.command("apply")
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 32767),
    default=None,
    help="Copies of each new topic. Default: the broker's own default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def apply_command(replication_factor: int | None, as_json: bool) -> None:
    """Create missing topics and alter settings that differ.

    May be run again at any time. Never deletes a topic, never shortens a retention and never
    changes partitions: a topic with another number of partitions is refused (exit code 1).
    """
    connection = KafkaConnection.from_environment()
    deeds = asyncio.run(apply(connection, replication_factor))
    if as_json:
        click.echo(json.dumps([asdict(deed) for deed in deeds], indent=2))
    else:
        for deed in deeds:
            click.echo(
                ": ".join(filter(None, (f"{deed.deed:<9} {deed.topic}", "; ".join(deed.details))))
            )
    refused = [deed for deed in deeds if deed.deed == "refused"]
    if refused:
        raise Failure(f"{refused[0].topic} was left alone: {refused[0].details[0]}.")


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def describe(as_json: bool) -> None:
    """Show the topics of the catalogue, and where the broker's differ."""
    rows = asyncio.run(_describe(KafkaConnection.from_environment()))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print(rows)


async def _describe(connection: KafkaConnection) -> list[dict[str, Any]]:
    names = [connection.topic(topic.name) for topic in CATALOGUE]
    async with admin_client(connection) as admin:
        observed = await observe(admin, names)
    return [
        _row(topic, name, observed.get(name)) for topic, name in zip(CATALOGUE, names, strict=True)
    ]


def _row(topic: Topic, name: str, observed: Observed | None) -> dict[str, Any]:
    return {
        "topic": name,
        "purpose": topic.purpose,
        "key": topic.key,
        "exists": observed is not None,
        "partitions": observed.topic.partitions if observed else topic.partitions,
        "replicas": observed.replicas if observed else None,
        "cleanup": topic.cleanup.value,
        "retention_seconds": topic.retention,
        "retention_bytes_per_partition": topic.retention_bytes,
        "written_by": list(topic.written_by),
        "read_by": list(topic.read_by),
        "differences": differences(topic, observed.topic if observed else None),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("Topic", "Partitions", "Cleanup", "Kept"):
        table.add_column(column, no_wrap=True)
    table.add_column("On the broker", overflow="fold")
    for row in rows:
        state = "\n".join(row["differences"]) or "as expected"
        kept = _days(row["retention_seconds"])
        table.add_row(row["topic"], str(row["partitions"]), row["cleanup"], kept, state)
    console = Console(highlight=False)
    console.print(table)
    console.print()
    for row in rows:
        flow = f"{', '.join(row['written_by'])} -> {', '.join(row['read_by'])}"
        console.print(f"{row['topic']} ({flow}, keyed by {row['key']}): {row['purpose']}")


def _days(seconds: float | None) -> str:
    return "for good" if seconds is None else f"{seconds / 86400:g} d"
