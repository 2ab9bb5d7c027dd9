"""Two Letta servers, the real one and a stand-in: each NPC's memory is on its own."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from streams.home import home_of
from tests.fake_letta import FakeLetta
from tests.integration.harness import Town, names_in, new_id, new_prefix, until
from topics.connection import KafkaConnection
from topics.models import Outcome

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GROUP = "group_members"
ALICE = ("1001", "Alice")
REAL, OTHER = 0, 1


@pytest_asyncio.fixture(loop_scope="session")
async def other() -> AsyncIterator[FakeLetta]:
    async with FakeLetta().serving() as letta:
        yield letta


@pytest_asyncio.fixture(loop_scope="session")
async def town(
    kafka_address: str, letta_url: str, other: FakeLetta, tmp_path: Path
) -> AsyncIterator[Town]:
    """A filter and a writer with both servers, and a token for each."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path, letta_url) as town:
        town.start("filter")
        town.start("writer", LETTA_URL=f"{letta_url},{other.url}", LETTA_TOKEN="one,two")
        yield town


def new_npc_on(server: int) -> str:
    """An NPC whose partition is that server's."""
    return next(npc_id for npc_id in iter(new_id, "") if home_of(npc_id) % 2 == server)


def names_on(other: FakeLetta, agent_id: str) -> set[str]:
    blocks = {str(block["label"]): block["value"] for block in other.blocks_of(agent_id)}
    found: dict[str, Any] = json.loads(blocks.get(GROUP, "{}"))
    return names_in(found)


async def test_npcs_share_the_servers_and_may_change_them(
    town: Town, other: FakeLetta, letta_url: str, now: float
) -> None:
    at = itertools.count()
    here, there, lost = new_npc_on(REAL), new_npc_on(OTHER), new_npc_on(REAL)
    agent_here = await town.letta.agent(f"npc:{here}")
    agent_there = other.agent(f"npc:{there}")
    agent_later = other.agent(f"npc:{here}")
    await town.publish.roster({"npc_id": lost, "name": "Lost", "letta": "http://127.0.0.1:9"})
    await town.publish.flush()

    for npc_id in (here, there):
        await town.see(npc_id, now + next(at), ALICE)
        assert [Outcome.APPLIED] == [told.outcome for told in await town.finished(npc_id, 1)]
    assert {"Alice"} == names_in((await town.letta.blocks(agent_here))[GROUP])
    assert {"Alice"} == names_on(other, agent_there)
    assert {"two"} == {token.removeprefix("Bearer ") for token in other.tokens if token}

    await town.see(lost, now + next(at), ALICE)
    [told] = await town.finished(lost, 1)
    assert Outcome.FAILED is told.outcome
    assert "ROLLCALL_LETTA_URL" in str(told.error)
    await until(lambda: town.dead_letters(lost), "a dead letter")

    await town.publish.roster({"npc_id": here, "name": "Mover", "letta": other.url})
    await town.publish.roster({"npc_id": lost, "name": "Found", "letta": letta_url})
    agent_lost = await town.letta.agent(f"npc:{lost}")
    await town.publish.flush()
    await until(lambda: len(town.results(lost)) > 1, "the parked NPC to be written")
    assert {"Alice"} == names_in((await town.letta.blocks(agent_lost))[GROUP])

    await town.see(here, now + next(at), ALICE, ("1002", "Bob"))
    await until(lambda: names_on(other, agent_later) == {"Alice", "Bob"}, "the move")
    writer = town.workers["writer"]
    for server in ("1", "2"):
        assert await writer.metric("rollcall_letta_requests_total", server=server) > 0
