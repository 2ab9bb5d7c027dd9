"""The broker killed and stopped under load: workers go on or leave for their supervisor, and in the
end every memory is as the newest snapshot says.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from ops.embedded import KafkaServer, ensure_kafka, free_port
from tests.fake_letta import FakeLetta
from tests.integration.harness import Town, Worker, new_id, new_prefix, until
from tests.reliability.figures import tell
from tests.reliability.load import Game
from topics.connection import KafkaConnection
from topics.publisher import Failure, Publisher

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

DOWN = 3.0
"""Seconds without a broker."""

NPCS = 20


class Broker:
    """A broker of this module's own, that may be taken away."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.server = self.start()

    def start(self) -> KafkaServer:
        self.server = ensure_kafka(self.folder, self.port)
        return self.server

    def end(self, how: signal.Signals) -> None:
        """Send a signal, and wait until the process is gone."""
        process = psutil.Process(self.server.pid)
        os.kill(self.server.pid, how)
        process.wait(60)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fake() -> AsyncIterator[FakeLetta]:
    async with FakeLetta().serving() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(
    broker: Broker, fake: FakeLetta, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    connection = KafkaConnection(broker=broker.server.address, topic_prefix=new_prefix())
    async with AsyncExitStack() as stack:
        made = Town(connection, tmp_path_factory.mktemp("town"), fake.url)
        town = await stack.enter_async_context(made)
        town.start("filter")
        town.start("writer")
        yield town


class Supervisor:
    """Starts a worker again that left with a code other than 0; what any supervisor does."""

    def __init__(self, workers: dict[str, Worker]) -> None:
        self._workers = workers
        self.codes: list[int] = []

    async def run(self) -> None:
        while True:
            for worker in self._workers.values():
                if not worker.is_alive():
                    self.codes.append(worker.running.returncode)
                    worker.start()
            await asyncio.sleep(0.1)


def memory_of(fake: FakeLetta, game: Game) -> dict[str, dict[str, object]]:
    found = {}
    for agent in fake.agents.values():
        npc_id = agent["tags"][0].removeprefix("npc:")
        value = fake.block(agent["id"], "group_members")["value"]
        found[npc_id] = json.loads(value) if value else {}
    return {npc_id: found[npc_id] for npc_id in game.npc_ids}


def _answered(town: Town) -> int:
    """Records of which the game was told that they were taken, or that they were not."""
    report = town.publish.report
    return report.sent + report.failed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_broker_that_ends_under_load(
    broker: Broker, fake: FakeLetta, town: Town, how: signal.Signals
) -> None:
    game, answered = Game(town, NPCS, every=0.5), _answered(town)
    for npc_id in game.npc_ids:
        fake.agent(f"npc:{npc_id}", group_members="", status="")
    supervisor = Supervisor(town.workers)
    supervising = asyncio.create_task(supervisor.run())
    async with game.playing():
        await until(lambda: game.finished() > NPCS, "commands to be finished")

        await asyncio.to_thread(broker.end, how)
        down = time.monotonic()
        await until(lambda: time.monotonic() > down + DOWN, "the outage to have lasted")
        await asyncio.to_thread(broker.start)
        up = time.monotonic()

        before = game.finished()
        await until(lambda: game.finished() > before + NPCS, "commands to be finished again")
        recovered = time.monotonic() - up
    await until(lambda: not game.wrong(memory_of(fake, game)), "memories as the newest snapshots")
    supervising.cancel()

    assert game.overtaken() == []
    assert 0 not in supervisor.codes
    answered = _answered(town) - answered
    assert answered == game.seen
    tell(
        f"kafka {how.name}",
        down_s=round(up - down, 1),
        recovered_s=round(recovered, 1),
        snapshots=game.seen,
        workers_left=len(supervisor.codes),
    )


async def test_a_publisher_tells_what_it_could_not_deliver(broker: Broker, town: Town) -> None:
    failures: list[Failure] = []
    publisher = Publisher(town.connection, on_failure=failures.append, delivery_timeout=2.0)
    npc_id = new_id()
    async with publisher:
        await publisher.snapshot({"npc_id": npc_id, "observed_at": 1.0})
        await publisher.flush()
        await asyncio.to_thread(broker.end, signal.SIGKILL)
        for number in range(5):
            await publisher.snapshot({"npc_id": npc_id, "observed_at": 2.0 + number})
        report = await publisher.flush()
        await asyncio.to_thread(broker.start)

        async def is_heard_again() -> bool:
            await publisher.snapshot({"npc_id": npc_id, "observed_at": 9.0})
            return (await publisher.flush()).sent > report.sent

        await until(is_heard_again, "a snapshot after the broker's return")

    assert (report.sent, report.failed) == (1, 5)
    told = [json.loads(failure.value or b"")["observed_at"] for failure in failures]
    assert told == [2.0, 3.0, 4.0, 5.0, 6.0]
