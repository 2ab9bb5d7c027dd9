"""The real servers: started, used, stopped, started again with their data."""

import asyncio
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from letta_client import Letta

from ops.embedded import (
    KafkaServer,
    LettaServer,
    ServerError,
    ensure_kafka,
    ensure_letta,
    free_port,
)
from ops.embedded.kafka import kafka_status
from ops.embedded.letta import letta_status
from tests.servers import progress

pytestmark = pytest.mark.integration

MODEL = "letta/letta-free"


def start_kafka(folder: Path, port: int, properties: dict[str, str] | None = None) -> KafkaServer:
    return ensure_kafka(folder, port, progress(), properties)


def start_letta(folder: Path, port: int) -> LettaServer:
    return ensure_letta(folder, port, progress())


def test_kafka_keeps_its_records_over_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with start_kafka(tmp_path, port) as server:
        asyncio.run(write(server.address, "kept", b"a record"))
    assert not kafka_status(tmp_path).running

    with start_kafka(tmp_path, port) as server:
        read = asyncio.run(read_one(server.address, "kept"))

    assert read == b"a record"


def test_kafka_survives_a_kill_and_a_stale_pid_file(tmp_path: Path) -> None:
    port = free_port()
    server = start_kafka(tmp_path, port)
    asyncio.run(write(server.address, "kept", b"a record"))
    kill(server.pid)

    with start_kafka(tmp_path, port) as again:
        read = asyncio.run(read_one(again.address, "kept"))

    assert again.started_here
    assert read == b"a record"


async def test_a_running_kafka_is_found_and_left_running(tmp_path: Path) -> None:
    port = free_port()
    with start_kafka(tmp_path, port) as server:
        with start_kafka(tmp_path, port) as same:
            assert same.pid == server.pid
            assert not same.started_here
        with pytest.raises(ServerError, match=f"already runs with this data folder on port {port}"):
            start_kafka(tmp_path, free_port())

        assert kafka_status(tmp_path).healthy


def test_kafka_answers_on_a_further_listener(tmp_path: Path) -> None:
    second = free_port()
    properties = {
        "listeners": f"SECOND://127.0.0.1:{second}",
        "listener.security.protocol.map": "SECOND:PLAINTEXT",
    }

    with start_kafka(tmp_path, free_port(), properties):
        asyncio.run(write(f"127.0.0.1:{second}", "kept", b"a record"))
        read = asyncio.run(read_one(f"127.0.0.1:{second}", "kept"))

    assert read == b"a record"


def test_a_kafka_that_cannot_start_tells_its_reason(tmp_path: Path) -> None:
    without_key = {
        "listeners": f"TLS://127.0.0.1:{free_port()}",
        "listener.security.protocol.map": "TLS:SSL",
        "ssl.keystore.location": "/no/such/key",
    }

    with pytest.raises(
        ServerError, match=r"Kafka ended while starting; its log .*kafka\.log says: .*key store"
    ):
        start_kafka(tmp_path, free_port(), without_key)

    assert not kafka_status(tmp_path).running


def test_kafka_refuses_a_property_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"could not be formatted: .* no-such-policy"):
        start_kafka(tmp_path, free_port(), {"log.cleanup.policy": "no-such-policy"})


def test_letta_keeps_its_agents_over_a_restart_and_over_the_death_of_its_database(
    tmp_path: Path,
) -> None:
    port = free_port()
    with start_letta(tmp_path, port) as server:
        agent = make_agent(server.url, "the market is busy")
    assert not letta_status(tmp_path).running
    assert letta_status(tmp_path).pids == {}

    with start_letta(tmp_path, port) as server:
        assert read_block(server.url, agent) == "the market is busy"

        kill(letta_status(tmp_path).pids["postgres"])
        same = start_letta(tmp_path, port)

        assert same.pid == server.pid
        assert not same.started_here
        assert read_block(same.url, agent) == "the market is busy"


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait(30)


async def write(address: str, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(topic, value)


async def read_one(address: str, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest"
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), timeout=30)
        value: bytes | None = record.value
        return value


def make_agent(url: str, status: str) -> str:
    with Letta(base_url=url, max_retries=0) as client:
        agent = client.agents.create(
            model=MODEL,
            embedding=MODEL,
            include_base_tools=False,
            memory_blocks=[{"label": "status", "value": status}],
        )
        return agent.id


def read_block(url: str, agent: str) -> str:
    with Letta(base_url=url) as client:
        return client.agents.blocks.retrieve("status", agent_id=agent).value
