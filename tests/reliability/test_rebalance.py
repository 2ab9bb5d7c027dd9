"""Workers come and go under load, told to or killed, on the real Kafka and the real Letta."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.harness import Town, Worker, new_prefix, until
from tests.reliability.figures import tell
from tests.reliability.load import Game
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

NPCS = 16
DRAIN = 10


class Crew:
    """Workers of both roles by name; each may go alone."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.started = 0

    def add(self, role: str) -> str:
        self.started += 1
        name = f"{role}-{self.started}"
        self.town.start(role, DRAIN_TIMEOUT=DRAIN, LETTA_CONCURRENCY=2)
        self.town.workers[name] = self.town.workers.pop(role)
        return name

    def __getitem__(self, name: str) -> Worker:
        return self.town.workers[name]

    async def stop(self, name: str) -> float:
        """SIGTERM; seconds until it was gone. It must leave by itself, with 0."""
        began = time.monotonic()
        code = await asyncio.to_thread(self[name].stop, DRAIN + 15)
        assert code == 0, self[name].words()[-2000:]
        return time.monotonic() - began

    def kill(self, name: str) -> None:
        self[name].kill()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(
    kafka_address: str, letta_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path_factory.mktemp("town"), letta_url) as made:
        yield made


async def agents_for(town: Town, game: Game) -> dict[str, str]:
    return {
        npc_id: await town.letta.agent(f"npc:{npc_id}", group_members="", status="")
        for npc_id in game.npc_ids
    }


class Watch:
    """How long NPCs waited for their next result: the longest is what a handover cost."""

    def __init__(self, game: Game) -> None:
        self.game = game

    async def until_all_move(self, what: str) -> float:
        """Until every NPC got a result more; seconds."""
        began = time.monotonic()
        counts = {npc: len(self.game.town.results(npc)) for npc in self.game.npc_ids}
        await until(
            lambda: all(len(self.game.town.results(npc)) > n for npc, n in counts.items()), what
        )
        return round(time.monotonic() - began, 1)


async def memory_of(town: Town, agents: dict[str, str]) -> dict[str, dict[str, Any]]:
    found = await asyncio.gather(*(town.letta.blocks(agent_id) for agent_id in agents.values()))
    return {npc: blocks.get("group_members", {}) for npc, blocks in zip(agents, found, strict=True)}


async def test_workers_that_come_and_go_under_load_lose_nothing(town: Town) -> None:
    game, crew = Game(town, NPCS, every=6.0), Crew(town)
    agents = await agents_for(town, game)
    watch = Watch(game)
    moves: dict[str, float] = {}
    drained: list[float] = []
    first = [crew.add("filter"), crew.add("writer")]
    async with game.playing():
        moves["start"] = await watch.until_all_move("the first results")

        second = [crew.add("filter"), crew.add("writer")]
        third = [crew.add("writer"), crew.add("filter")]
        moves["add_two_of_each"] = await watch.until_all_move("results with three of each")

        drained += await asyncio.gather(*(crew.stop(name) for name in first))
        moves["sigterm_one_of_each"] = await watch.until_all_move("results after SIGTERM")

        for name in second:
            crew.kill(name)
        moves["kill_one_of_each"] = await watch.until_all_move("results after kill -9")

        fourth = [crew.add("filter"), crew.add("writer")]
        moves["add_one_of_each"] = await watch.until_all_move("results with a new one of each")
        drained += await asyncio.gather(*(crew.stop(name) for name in third))

    async def is_right() -> bool:
        return not game.wrong(await memory_of(town, agents))

    await until(is_right, "every memory as its newest snapshot")
    drained += await asyncio.gather(*(crew.stop(name) for name in fourth))

    assert game.overtaken() == []
    assert town.dead_letters() == []
    assert max(drained) < DRAIN + 10
    tell("rebalance", snapshots=game.seen, results=game.finished(), **moves)
    tell("drain", workers=len(drained), longest_s=round(max(drained), 1))
