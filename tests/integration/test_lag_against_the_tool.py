"""`rollcall lag` against the broker's own `kafka-consumer-groups`, on the real Kafka."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from click.testing import CliRunner

from ops.bench.lag.agreement import Told, told_by_tool
from ops.cli import main
from ops.embedded.kafka_tools import described_group, ensure_tools
from ops.failure import Failure
from ops.lag.reading import Position, lag_reader
from ops.tables import admin_client
from tests.integration.harness import new_id, new_prefix, topics_of, until
from tests.servers import progress
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.producer import Producer

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

PARTITIONS = 8
ROUNDING = 0.002
"""Kafka keeps milliseconds."""


@pytest.fixture(scope="session")
def class_path() -> str:
    """The tool, installed as the servers are."""
    return ensure_tools(progress())


@pytest_asyncio.fixture(loop_scope="session")
async def connection(kafka_address: str) -> AsyncIterator[KafkaConnection]:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with topics_of(connection):
        yield connection


@asynccontextmanager
async def member(connection: KafkaConnection, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A group's only member, which commits nothing by itself."""
    consumer = AIOKafkaConsumer(
        connection.topic(NPC_SNAPSHOTS),
        **connection.client_options(),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        yield consumer


async def finish(consumer: AIOKafkaConsumer, records: int) -> None:
    """So many more, wherever they are; all committed when this is done."""
    for _ in range(records):
        record = await asyncio.wait_for(consumer.getone(), 30)
        await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


async def publish(connection: KafkaConnection, rounds: int) -> dict[tuple[int, int], float]:
    """A record on each partition in each round; when each was sent, by partition and offset."""
    sent = {}
    async with Producer(**connection.client_options()) as producer:
        for number in range(rounds * PARTITIONS):
            partition, at = number % PARTITIONS, time.time()
            topic = connection.topic(NPC_SNAPSHOTS)
            told = await producer.send_and_wait(topic, b"x", partition=partition)
            sent[partition, told.offset] = at
    return sent


async def positions(connection: KafkaConnection, group: str) -> list[Position]:
    async with lag_reader(connection) as reader:
        return await reader.read({group: [connection.topic(NPC_SNAPSHOTS)]})


async def by_rollcall(connection: KafkaConnection, group: str) -> dict[int, Told]:
    return {
        one.partition: Told(one.sample.committed, one.sample.end, one.sample.lag)
        for one in await positions(connection, group)
    }


async def by_the_tool(connection: KafkaConnection, group: str, class_path: str) -> dict[int, Told]:
    address = connection.bootstrap_servers[0]
    rows = await asyncio.to_thread(described_group, class_path, address, group)
    return told_by_tool(rows, connection.topic(NPC_SNAPSHOTS))


async def test_the_tool_says_the_same_of_each_partition_while_a_member_catches_up(
    connection: KafkaConnection, class_path: str
) -> None:
    group, lags = new_id("group"), []
    await publish(connection, 4)
    async with member(connection, group) as consumer:
        for records in (1, 9, 22):
            await finish(consumer, records)

            ours = await by_rollcall(connection, group)

            assert await by_the_tool(connection, group, class_path) == ours
            assert set(range(PARTITIONS)) == set(ours)
            lags.append(sum(4 if one.lag is None else one.lag for one in ours.values()))
    assert [31, 22, 0] == lags


async def test_of_a_group_that_has_gone_the_tool_tells_the_partitions_with_a_commit(
    connection: KafkaConnection, class_path: str
) -> None:
    group = new_id("group")
    await publish(connection, 2)
    async with member(connection, group) as consumer:
        await finish(consumer, 3)
    await publish(connection, 1)

    ours = await by_rollcall(connection, group)

    committed = {one: told for one, told in ours.items() if told.committed is not None}
    assert await by_the_tool(connection, group, class_path) == committed
    assert {Told(None, 3, None)} == set(ours.values()) - set(committed.values())


async def test_of_records_that_are_gone_only_the_tool_counts_those_not_finished(
    connection: KafkaConnection, class_path: str
) -> None:
    group = new_id("group")
    await publish(connection, 5)
    async with member(connection, group) as consumer:
        await finish(consumer, 1)
    [partition] = await by_the_tool(connection, group, class_path)
    async with admin_client(connection) as admin:
        gone = TopicPartition(connection.topic(NPC_SNAPSHOTS), partition)
        await admin.delete_records({gone: RecordsToDelete(before_offset=3)})

    ours = (await by_rollcall(connection, group))[partition]

    assert Told(1, 5, 2) == ours
    assert {partition: Told(1, 5, 4)} == await by_the_tool(connection, group, class_path)


async def test_the_seconds_are_the_age_of_the_next_record_on_each_partition(
    connection: KafkaConnection,
) -> None:
    group = new_id("group")
    sent = await publish(connection, 2)
    async with member(connection, group) as consumer:
        await finish(consumer, 2 * PARTITIONS)
        sent |= await publish(connection, 1)
        first = min(at for (_, offset), at in sent.items() if offset == 2)
        await until(lambda: time.time() - first > 2.0, "the consumer stands still for 2 s")
        sent |= await publish(connection, 1)

        begin = time.time()
        found = {one.partition: one.seconds for one in await positions(connection, group)}
        end = time.time()

    assert set(range(PARTITIONS)) == set(found)
    for partition, seconds in found.items():
        assert seconds is not None
        since = sent[partition, 2]
        assert begin - since - ROUNDING <= seconds <= end - since + ROUNDING


async def test_a_group_nobody_has_heard_of_is_a_sentence_of_the_tool(
    connection: KafkaConnection, class_path: str
) -> None:
    with pytest.raises(Failure, match=r"^kafka-consumer-groups says: .*Group nobody not found\.$"):
        await by_the_tool(connection, "nobody", class_path)


async def test_the_bench_compares_both_and_saves_what_each_said(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    file = tmp_path / "lag.json"
    words = ["bench", "lag", "--samples", "1", "--stop", "1", "--json", str(file)]

    done = await asyncio.to_thread(CliRunner().invoke, main, words)

    assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    assert told["right"]
    assert PARTITIONS == len(told["samples"][0]["at_rest"])
    assert PARTITIONS <= len(told["stops"][0]["ages"])
