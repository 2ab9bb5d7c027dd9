"""Lag against the truth, on the real Kafka."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from ops.cli import main
from ops.lag.reading import Position, lag_reader
from tests.integration.harness import Town, new_id, new_prefix
from topics.catalogue import NPC_SNAPSHOTS
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


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
    sent = time.time()
    await consume(town, group, 1)
    await asyncio.sleep(2.0)  # the consumer stands still for a known time

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


async def test_the_exporter_ends_well_when_told_to(town: Town) -> None:
    exporter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "lag", "--export", "0"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert exporter.stdout
    serving = await asyncio.wait_for(exporter.stdout.readline(), 30)

    exporter.terminate()

    assert serving.startswith(b"Serving lag on http://127.0.0.1:")
    assert 0 == await asyncio.wait_for(exporter.wait(), 30)
