"""The publisher on the real Kafka."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from topics.catalogue import BY_NAME
from topics.connection import KafkaConnection
from topics.decode import decode_profile, decode_snapshot
from topics.models import PlayerRef, RosterEntry
from topics.publisher import Failure, KafkaUnavailableError, Publisher, PublishReport
from topics.roster import Roster

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parent / "examples"
USED = ("npc-snapshots", "player-profiles", "world-snapshots")
SMALL = "locations"  # made so that the broker refuses what is longer than a few words


@pytest_asyncio.fixture
async def connection(kafka_address: str) -> AsyncIterator[KafkaConnection]:
    prefix = f"test-publisher-{uuid.uuid4().hex[:8]}."
    connection = KafkaConnection(broker=kafka_address, topic_prefix=prefix)
    admin = AIOKafkaAdminClient(**connection.client_options())
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(
                    connection.topic(name),
                    BY_NAME[name].partitions,
                    1,
                    topic_configs=BY_NAME[name].configs,
                )
                for name in USED
            ]
            + [NewTopic(connection.topic(SMALL), 1, 1, topic_configs={"max.message.bytes": "300"})]
        )
        yield connection
    finally:
        await admin.delete_topics([connection.topic(name) for name in (*USED, SMALL)])
        await admin.close()


async def records(
    connection: KafkaConnection, name: str, count: int
) -> list[ConsumerRecord[bytes, bytes]]:
    """The first `count` records of a topic, in the order of each partition."""
    consumer = AIOKafkaConsumer(
        connection.topic(name), **connection.client_options(), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def test_what_is_published_can_be_read(connection: KafkaConnection) -> None:
    async with Publisher(connection) as publisher:
        await publisher.profile({"player_id": 1001, "name": "Alice", "description": "red hat"})
        await publisher.delete_profile("1001")
        await publisher.snapshot({"npc_id": "npc-7", "cluster": ["Zoë"], "location": "inn"})

    assert publisher.report == PublishReport(sent=3, failed=0)
    profile, tombstone = await records(connection, "player-profiles", 2)
    assert decode_profile(profile.key, profile.value).description == "red hat"
    assert (tombstone.key, tombstone.value) == (b"1001", None)
    [record] = await records(connection, "npc-snapshots", 1)
    seen = decode_snapshot(record.key, record.value, record.timestamp / 1000)
    assert seen.cluster == ("Zoë",)
    assert seen.observed_at == pytest.approx(profile.timestamp / 1000, abs=60)


# Values of Kafka's own murmur2, from the tests of its Java client.
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
async def test_a_key_goes_to_the_partition_that_the_java_client_would_choose(
    connection: KafkaConnection, key: str, murmur2: int
) -> None:
    async with Publisher(connection) as publisher:
        await publisher.snapshot({"npc_id": key})

    [record] = await records(connection, "npc-snapshots", 1)
    assert record.partition == (murmur2 & 0x7FFFFFFF) % BY_NAME["npc-snapshots"].partitions


async def test_thousands_of_snapshots_arrive_in_the_order_of_each_npc(
    connection: KafkaConnection,
) -> None:
    npcs, rounds = [f"npc-{number}" for number in range(30)], 100

    async with Publisher(connection, max_in_flight=500) as publisher:
        for at in range(rounds):
            for npc_id in npcs:
                await publisher.snapshot({"npc_id": npc_id, "observed_at": at})

    assert publisher.report == PublishReport(sent=len(npcs) * rounds, failed=0)
    seen: dict[bytes, list[float]] = {}
    for record in await records(connection, "npc-snapshots", len(npcs) * rounds):
        seen.setdefault(record.key, []).append(json.loads(record.value)["observed_at"])
    assert seen == {npc_id.encode(): [float(at) for at in range(rounds)] for npc_id in npcs}


async def test_a_world_is_split_with_a_roster_and_sent_whole_without(
    connection: KafkaConnection,
) -> None:
    world = json.loads((EXAMPLES / "world-snapshots.seed.json").read_text())
    roster = Roster([RosterEntry(npc_id="npc-8", name="Diamond", home_location="mine")])

    async with Publisher(connection) as publisher:
        await publisher.world(world)
    async with Publisher(connection, roster) as publisher:
        await publisher.world(world)

    [whole] = await records(connection, "world-snapshots", 1)
    assert (whole.key, json.loads(whole.value)) == (b"world", world)
    split = {
        record.key: decode_snapshot(record.key, record.value, 0.0)
        for record in await records(connection, "npc-snapshots", 2)
    }
    assert split[b"npc-7"].nearby_players == (PlayerRef(id="1001", name="Alice"),)
    assert split[b"npc-8"].location == "mine"


async def test_a_record_too_large_for_the_broker_is_reported_and_the_rest_arrives(
    connection: KafkaConnection,
) -> None:
    failures: list[Failure] = []
    place = {"slug": "inn", "name": "Inn", "coordinates": [0, 0, 0]}

    async with Publisher(connection, on_failure=failures.append) as publisher:
        await publisher.location({**place, "description": "x" * 500})
        await publisher.flush()
        await publisher.location(place)

    assert publisher.report == PublishReport(sent=1, failed=1)
    assert [(failure.topic, failure.key) for failure in failures] == [
        (connection.topic(SMALL), b"inn")
    ]
    assert "MessageSizeTooLarge" in failures[0].error


async def test_a_topic_that_does_not_exist_is_reported(connection: KafkaConnection) -> None:
    failures: list[Failure] = []

    async with Publisher(connection, on_failure=failures.append, delivery_timeout=0.5) as publisher:
        await publisher.roster({"npc_id": "npc-7", "name": "Greta"})

    assert publisher.report == PublishReport(sent=0, failed=1)
    assert failures[0].topic == connection.topic("npc-roster")


async def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    connection = KafkaConnection(broker="kafka://127.0.0.1:1")

    with pytest.raises(KafkaUnavailableError, match=r"cannot reach Kafka at 127\.0\.0\.1:1"):
        async with Publisher(connection):
            pass
