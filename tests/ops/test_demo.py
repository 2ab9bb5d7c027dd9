"""The demo and the bench, whole, on the real Kafka and the real Letta."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest
from letta_client import AsyncLetta

from ops.tables import admin_client
from topics.connection import KafkaConnection

pytestmark = pytest.mark.integration


@pytest.fixture
def environment(kafka_address: str, letta_url: str, tmp_path: Path) -> dict[str, str]:
    """The servers of this session, and nothing else of ours."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")}
    return {
        **mine,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ROLLCALL_BROKER": f"kafka://{kafka_address}",
        "ROLLCALL_LETTA_URL": letta_url,
        "ROLLCALL_DATA_DIR": str(tmp_path / "data"),
    }


def rollcall(environment: dict[str, str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ops.cli", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def left_behind(environment: dict[str, str], prefix: str) -> tuple[list[str], list[str]]:
    """Topics and agents whose names begin like this."""

    async def look() -> tuple[list[str], list[str]]:
        async with admin_client(
            KafkaConnection.from_environment(broker=environment["ROLLCALL_BROKER"])
        ) as admin:
            topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        async with AsyncLetta(base_url=environment["ROLLCALL_LETTA_URL"]) as letta:
            names = [agent.name async for agent in letta.agents.list(limit=200)]
        return topics, [name for name in names if name.startswith(prefix)]

    return asyncio.run(look())


def test_a_short_demo_ends_with_every_memory_right(
    environment: dict[str, str], tmp_path: Path
) -> None:
    figures, recording = tmp_path / "summary.json", tmp_path / "snapshots.ndjson"

    done = rollcall(
        environment,
        *("demo", "--npcs", 10, "--seconds", 20),
        *("--json", figures, "--record", recording),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(figures.read_text())
    assert summary["verified"] == 10
    assert summary["drained"]
    assert summary["faults"] == []
    assert summary["dead_letters"] == 0
    assert summary["decisions"]["first_seen"] == 10
    assert sum(summary["snapshot_outcomes"].values()) >= summary["snapshots"] > 40
    assert sum(summary["results"].values()) == sum(summary["decisions"].values())
    assert summary["letta_total"] < summary["direct_calls"] == 4 * summary["snapshots"]
    assert set(summary["peak_memory"]) == {"splitter", "filter", "writer"}
    assert left_behind(environment, summary["run"]) == ([], [])
    assert list((tmp_path / "data" / "demo").iterdir()) == []
    assert_may_be_published_again(environment, recording)


async def _delete_topics(environment: dict[str, str]) -> None:
    broker, prefix = environment["ROLLCALL_BROKER"], environment["ROLLCALL_TOPIC_PREFIX"]
    async with admin_client(KafkaConnection.from_environment(broker=broker)) as admin:
        await admin.delete_topics([t for t in await admin.list_topics() if t.startswith(prefix)])


def assert_may_be_published_again(environment: dict[str, str], recording: Path) -> None:
    again = {**environment, "ROLLCALL_TOPIC_PREFIX": f"test-again-{uuid.uuid4().hex[:8]}-"}
    rollcall(again, "topics", "apply")
    done = rollcall(again, "publish", recording, "--json")
    asyncio.run(_delete_topics(again))
    sent = len(recording.read_text().splitlines())
    assert sent > 20
    assert json.loads(done.stdout) == {"sent": sent, "failed": 0, "wrong": 0}


def children_of(process: "subprocess.Popen[str]", wanted: int) -> list[psutil.Process]:
    """Its child processes, once there are as many as wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        if len(children) >= wanted:
            return children
        time.sleep(0.1)  # a condition of another process: nothing to wait on
    raise AssertionError("the workers did not start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    environment: dict[str, str], number: signal.Signals
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "demo", "--npcs", "4", "--seconds", "120"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    workers = children_of(demo, wanted=3)
    (run,) = [path.name for path in Path(environment["ROLLCALL_DATA_DIR"], "demo").iterdir()]

    demo.send_signal(number)
    output, _ = demo.communicate(timeout=60)

    assert demo.returncode == 1
    assert "Traceback" not in output
    assert not any(worker.is_running() for worker in workers)
    assert left_behind(environment, run) == ([], [])


def test_a_worker_that_dies_ends_the_demo_with_its_last_words(
    environment: dict[str, str],
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "demo", "--npcs", "4", "--seconds", "120"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    workers = children_of(demo, wanted=3)
    (writer,) = [worker for worker in workers if "writer" in worker.cmdline()]

    writer.kill()
    output, _ = demo.communicate(timeout=60)

    assert demo.returncode == 1
    assert "Error: The writer worker ended with exit code -9" in output
    assert not any(worker.is_running() for worker in workers)


def test_the_bench_compares_modes_on_the_same_records(
    environment: dict[str, str], tmp_path: Path
) -> None:
    figures = tmp_path / "modes.json"

    done = rollcall(environment, "bench", "modes", "--npcs", 3, "--seconds", 9, "--json", figures)

    assert done.returncode == 0, done.stdout + done.stderr
    direct, filtered, cached = json.loads(figures.read_text())
    assert [one["mode"] for one in (direct, filtered, cached)] == ["direct", "filtered", "cached"]
    assert direct["snapshots"] == filtered["snapshots"] == cached["snapshots"]
    assert sum(direct["decisions"].values()) == direct["snapshots"]
    assert cached["letta_total"] < direct["letta_total"]
    assert filtered["verified"] == cached["verified"] == 3
