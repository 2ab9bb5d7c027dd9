"""`rollcall bench filter-scale`, small: every part of it measures something on the real Kafka."""

import json
from pathlib import Path

import pytest

from tests.integration.commands import rollcall
from tests.integration.harness import Town, new_prefix
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_memory_and_restarts_are_measured(kafka_address: str, tmp_path: Path) -> None:
    town = Town(KafkaConnection(broker=kafka_address, topic_prefix=new_prefix()), tmp_path)
    file = tmp_path / "figures.json"
    small = ("--npcs", "300", "--rounds", "1", "--rate", "0")

    done = await rollcall(town, "bench", "filter-scale", *small, "--json", str(file))

    assert 0 == done.code, done.out + done.err
    found = json.loads(file.read_text())
    assert list(found["memory"]) == [
        "empty",
        "roster and profiles",
        "a snapshot of each",
        "a second one of each",
    ]
    assert [one["how"] for one in found["restarts"]] == ["SIGKILL", "SIGTERM"]
    assert all(0.0 < one["first"] <= one["all_partitions"] for one in found["restarts"])
