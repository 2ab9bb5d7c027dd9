"""`rollcall topics`: what is changed on a broker, and what never is."""

import asyncio
import json
import uuid
from collections.abc import Iterator

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner

from ops.check import topic_findings
from ops.cli import main
from ops.tables import admin_client
from ops.topics_admin import Observed, _until_known, alterations, apply, observe
from topics.catalogue import BY_NAME, CATALOGUE, ObservedTopic
from topics.connection import KafkaConnection

SNAPSHOTS = BY_NAME["npc-snapshots"]


def observed(**configs: str) -> ObservedTopic:
    """npc-snapshots as it should be, but for these settings."""
    wanted = {name.replace("_", "."): value for name, value in configs.items()}
    return ObservedTopic(partitions=SNAPSHOTS.partitions, configs=SNAPSHOTS.configs | wanted)


def test_a_topic_as_it_should_be_is_left_alone() -> None:
    assert alterations(SNAPSHOTS, observed()) == ({}, [])


def test_a_setting_that_differs_is_altered() -> None:
    wanted, kept = alterations(SNAPSHOTS, observed(segment_ms="1"))

    assert wanted == {"segment.ms": SNAPSHOTS.configs["segment.ms"]}
    assert kept == []


def test_the_order_of_cleanup_policies_is_no_difference() -> None:
    commands = BY_NAME["npc-update-commands"]
    configs = commands.configs | {"cleanup.policy": "delete,compact"}

    assert alterations(commands, ObservedTopic(partitions=8, configs=configs)) == ({}, [])


@pytest.mark.parametrize("longer", ["999999999999", "-1"])
def test_records_kept_for_longer_stay(longer: str) -> None:
    wanted, kept = alterations(SNAPSHOTS, observed(retention_ms=longer))

    assert wanted == {}
    assert kept == [f"retention.ms stays {longer}: the catalogue's 604800000 would delete records"]


def test_a_shorter_retention_is_lengthened() -> None:
    assert alterations(SNAPSHOTS, observed(retention_ms="1"))[0] == {"retention.ms": "604800000"}


def test_check_tells_missing_topics_and_wrong_settings_but_not_longer_retention() -> None:
    connection = KafkaConnection(broker="kafka://b:1", topic_prefix="x.")
    right = {
        connection.topic(topic.name): Observed(
            ObservedTopic(partitions=topic.partitions, configs=topic.configs), 1, {}
        )
        for topic in CATALOGUE
    }
    longer = right | {"x.npc-snapshots": Observed(observed(retention_ms="-1"), 1, {})}
    short = right | {"x.npc-snapshots": Observed(observed(retention_ms="1"), 1, {})}
    missing = {name: found for name, found in right.items() if name != "x.npc-roster"}

    def states(topics: dict[str, Observed]) -> list[str]:
        return [finding.state for finding in topic_findings(connection, topics)]

    assert states(right) == ["ok"]
    assert states(longer) == ["note", "ok"]
    assert states(short) == ["wrong"]
    assert states(missing) == ["wrong"]


@pytest.fixture
def connection(kafka_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaConnection]:
    prefix = f"test-topics-{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", prefix)
    connection = KafkaConnection.from_environment()
    yield connection
    asyncio.run(_delete_topics(connection))


async def _delete_topics(connection: KafkaConnection) -> None:
    async with admin_client(connection) as admin:
        prefix = connection.topic_prefix
        mine = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if mine:
            await admin.delete_topics(mine)


def deeds() -> dict[str, str]:
    """What `rollcall topics apply` says it did, by topic without its prefix."""
    result = CliRunner().invoke(main, ["topics", "apply", "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return {
        one["topic"].rpartition(".")[2]: one["deed"]
        for one in json.loads(result.stdout.partition("Error:")[0])
    }


@pytest.mark.integration
def test_topics_are_created_once(connection: KafkaConnection) -> None:
    first, second = deeds(), deeds()

    assert first == dict.fromkeys(BY_NAME, "created")
    assert second == dict.fromkeys(BY_NAME, "unchanged")
    described = CliRunner().invoke(main, ["topics", "describe", "--json"])
    assert [row["differences"] for row in json.loads(described.stdout)] == [[]] * len(CATALOGUE)


@pytest.mark.integration
def test_settings_of_the_users_stay(connection: KafkaConnection) -> None:
    name = connection.topic("npc-snapshots")

    async def set_by_hand() -> None:
        await apply(connection)
        configs = SNAPSHOTS.configs | {"segment.ms": "5000000", "flush.ms": "77777"}
        async with admin_client(connection) as admin:
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs=configs)]
            )

    async def own_settings() -> dict[str, str]:
        async with admin_client(connection) as admin:
            return (await observe(admin, [name]))[name].own

    asyncio.run(set_by_hand())

    assert deeds()["npc-snapshots"] == "altered"
    own = asyncio.run(own_settings())
    assert own["flush.ms"] == "77777"
    assert own["segment.ms"] == SNAPSHOTS.configs["segment.ms"]


@pytest.mark.integration
def test_other_partitions_are_refused_and_the_rest_is_done(connection: KafkaConnection) -> None:
    async def create_by_hand() -> None:
        async with admin_client(connection) as admin:
            name = connection.topic("npc-snapshots")
            await admin.create_topics([NewTopic(name, 3, 1)])
            await _until_known(admin, [name])

    asyncio.run(create_by_hand())

    result = CliRunner().invoke(main, ["topics", "apply"])

    assert result.exit_code == 1
    assert "npc-snapshots was left alone: it has 3 partitions, 8 are expected" in result.stderr
    assert deeds()["npc-roster"] == "unchanged"
