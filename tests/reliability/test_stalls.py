"""A worker that hangs, anywhere, says so and leaves its process with a code that is not 0."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.harness import Town, Worker, new_id, new_prefix, until
from tests.reliability.figures import tell
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

STALL_TIMEOUT = 5

HANGS = {
    "a flusher": "async def hang(*_): await asyncio.Event().wait()\n"
    "streams.filter.agent.FilterAgent._flush = hang",
    "an event loop": "async def hang(*_): time.sleep(10 ** 6)\n"
    "streams.filter.agent.FilterAgent._flush = hang",
    "a consumer": "async def hang(*_): await asyncio.Event().wait()\n"
    "streams.faust_layer.consumer.BatchConsumer._wait_next_records = hang",
}

PROGRAM = """
import asyncio, sys, time
import streams.filter.agent, streams.worker
{hang}
sys.exit(streams.worker.run(["filter"]))
"""


@pytest_asyncio.fixture(loop_scope="session")
async def lone_towns(kafka_address: str, tmp_path: Path) -> AsyncIterator[list[Town]]:
    """One for each hang."""
    async with AsyncExitStack() as stack:
        towns = []
        for number in range(len(HANGS)):
            connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
            folder = tmp_path / str(number)
            folder.mkdir()
            towns.append(await stack.enter_async_context(Town(connection, folder)))
        yield towns


@pytest_asyncio.fixture(loop_scope="session")
async def town(lone_towns: list[Town]) -> Town:
    return lone_towns[0]


def hanging(town: Town, monkeypatch: pytest.MonkeyPatch, what: str) -> Worker:
    program = PROGRAM.format(hang=HANGS[what])
    start = subprocess.Popen

    def instead(_: object, **how: Any) -> "subprocess.Popen[bytes]":
        return start([sys.executable, "-c", program], **how)

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", instead)
        worker = town.start("filter", STALL_TIMEOUT=STALL_TIMEOUT)
    town.workers[what] = town.workers.pop("filter")
    return worker


async def test_a_worker_that_hangs_is_noticed(
    lone_towns: list[Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    for town in lone_towns:
        await town.see(new_id(), time.time())
        await town.publish.flush()
    began = time.monotonic()
    workers = {
        what: hanging(town, monkeypatch, what) for what, town in zip(HANGS, lone_towns, strict=True)
    }

    for what, worker in workers.items():
        code = await asyncio.to_thread(worker.running.wait, 60)
        assert (what, code) == (what, 70)
        assert "worker_stalled" in worker.words()
        seconds = round(time.monotonic() - began, 1)
        tell(f"{what} that hangs", timeout_s=STALL_TIMEOUT, left_after_s=seconds)


async def test_a_worker_tells_when_it_is_ready(town: Town) -> None:
    worker = town.start("filter")

    async def ready() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{worker.port}/readyz")
            except httpx.TransportError:
                return False
            return answer.status_code == 200

    await until(ready, "a worker that is ready")
    npc_id = new_id()
    await town.see(npc_id, time.time(), ("1001", "Alice"))
    await town.reasons(npc_id, 1)
