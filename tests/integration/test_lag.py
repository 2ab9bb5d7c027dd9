"""Lag against the truth, and against the broker's own tool, on the real Kafka."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from ops.cli import main
from ops.embedded.kafka import tool_command
from ops.lag.reading import LagReader, Position, lag_reader
from tests.integration.harness import Town, new_id, new_prefix
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

SAMPLES = 3


@pytest_asyncio.fixture(loop_scope="session")
async def town(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    """Topics and no worker; the environment names them."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", connection.topic_prefix)
    async with Town(connection, tmp_path) as town:
        yield town


async def consume(town: Town, group: str, most: int) -> int:
    """Finishes so many records of the snapshots in the name of a group; how many that were."""
    consumer = AIOKafkaConsumer(
        town.connection.topic(NPC_SNAPSHOTS),
        **town.connection.client_options(),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        done = 0
        while done < most:
            record = await asyncio.wait_for(consumer.getone(), 20)
            done += 1
            partition = TopicPartition(record.topic, record.partition)
            await consumer.commit({partition: record.offset + 1})
        return done
    finally:
        await consumer.stop()


async def read(town: Town, group: str) -> list[Position]:
    async with lag_reader(town.connection) as reader:
        return await reader.read({group: [town.connection.topic(NPC_SNAPSHOTS)]})


async def rollcall(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, words)


async def test_seconds_are_those_since_the_next_record_was_sent(town: Town) -> None:
    npc_id, group = new_id(), new_id()
    for at in range(2):
        await town.see(npc_id, time.time() + at)
    await town.publish.flush()
    await consume(town, group, 1)
    sent = time.time()
    await asyncio.sleep(2.0)  # the time that is measured

    [behind] = [one for one in await read(town, group) if one.sample.lag]

    assert behind.sample.lag == 1
    assert behind.seconds == pytest.approx(time.time() - sent, abs=1.0)


async def test_who_keeps_up_waits_for_nothing_and_who_never_committed_has_no_lag(
    town: Town,
) -> None:
    npc_id, group = new_id(), new_id()
    await town.see(npc_id, time.time())
    await town.publish.flush()
    await consume(town, group, 1)

    positions = await read(town, group)

    kept_up = [one for one in positions if one.sample.committed is not None]
    assert [(0, 0.0)] == [(one.sample.lag, one.seconds) for one in kept_up]
    assert {(None, None)} == {
        (one.sample.lag, one.seconds) for one in positions if one not in kept_up
    }


async def test_the_command_tells_scripts_by_its_exit_code(town: Town) -> None:
    group = new_id()
    for number in range(3):
        await town.see(new_id(), time.time() + number)
    await town.publish.flush()
    await consume(town, group, 1)

    fine = await rollcall("lag", "--group", group, "--interval", "0.2", "--max", "3", "--json")
    above = await rollcall("lag", "--group", group, "--interval", "0.2", "--max", "0")
    unknown = await rollcall("lag", "--group", "nobody-*")

    assert fine.exit_code == 0, fine.output
    told = json.loads(fine.stdout)
    assert {"STOP", "OK", "NONE"} >= {one["verdict"] for one in told}
    assert above.exit_code == (1 if sum(one["lag"] or 0 for one in told) else 0)
    assert unknown.exit_code == 1
    assert "knows no consumer group 'nobody-*'" in unknown.output


async def test_it_agrees_with_the_brokers_own_tool_on_every_partition(town: Town) -> None:
    group = new_id()
    for number in range(40):
        await town.see(new_id(), time.time() + number)
    await town.publish.flush()
    await consume(town, group, 15)
    async with lag_reader(town.connection) as reader:
        for _ in range(SAMPLES):
            assert await agrees(town, reader, group)
            await town.see(new_id(), time.time())
            await town.publish.flush()
            await consume(town, group, 1)


async def agrees(town: Town, reader: LagReader, group: str) -> bool:
    """Ours, theirs and ours again: theirs lies between. The group stands still meanwhile."""
    groups: dict[str, list[str]] = {group: []}
    before = _lags(await reader.read(groups))
    theirs = await asyncio.to_thread(brokers_own, town.connection.bootstrap_servers[0], group)
    after = _lags(await reader.read(groups))
    return before.keys() == theirs.keys() and all(
        before[where] <= lag <= after[where] for where, lag in theirs.items()
    )


def _lags(positions: list[Position]) -> dict[tuple[str, int], int]:
    return {
        (one.topic, one.partition): one.sample.lag
        for one in positions
        if one.sample.lag is not None
    }


def brokers_own(broker: str, group: str) -> dict[tuple[str, int], int]:
    """What kafka-consumer-groups of the same Kafka release says."""
    asked = ("--bootstrap-server", broker, "--describe", "--group", group)
    command = tool_command("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *asked)
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [line.split() for line in told.splitlines() if line.startswith(group)]
    return {(row[1], int(row[2])): int(row[5]) for row in rows}
