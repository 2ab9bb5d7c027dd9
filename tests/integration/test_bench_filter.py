"""The comparison of filters, small: every contender that is installed sends the same commands."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.commands import Done, rollcall
from tests.integration.harness import Town, new_prefix
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def bench(kafka_address: str, tmp_path: Path, *words: str) -> Done:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    return await rollcall(Town(connection, tmp_path), "bench", "filter", *words)


async def test_all_contenders_send_the_same_commands(kafka_address: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    small = ("--npcs", "40", "--records", "3000", "--rounds", "1")

    done = await bench(kafka_address, tmp_path, *small, "--json", str(file))

    assert 0 == done.code, done.out + done.err
    runs = {run["contender"]: run for run in json.loads(file.read_text())["runs"]}
    installed = {"quix"} if find_spec("quixstreams") else set()
    assert {"rollcall", "faust", "raw"} | installed == set(runs)
    commands = {run["commands"] - run["refreshes"] for run in runs.values() if run["commands"]}
    assert 1 == len(commands)
    assert commands.pop() > 40


async def test_a_live_feed_has_latencies(kafka_address: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    live = ("--paced", "50", "--seconds", "3")

    done = await bench(kafka_address, tmp_path, *live, "--json", str(file))

    assert 0 == done.code, done.out + done.err
    told = json.loads(file.read_text())
    assert told["commands"] > 0
    assert 0 < told["p50"] <= told["p99"] <= told["worst"]
