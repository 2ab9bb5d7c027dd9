"""The writer on the real Letta, with NPC edits made by Letta's own memory tools."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from letta_client import AsyncLetta

from streams.writer.letta import LettaStore
from streams.writer.loop import WriteLoop
from streams.writer.reconcile import GROUP, reconcile
from tests.writer.agents import NewAgent
from tests.writer.commands import ALICE, BOB, GRETA, NOON, command
from topics.models import Member, Outcome, UpdateResult

pytestmark = pytest.mark.integration
TOOLS = ["core_memory_append", "core_memory_replace", "memory_insert"]


async def value(store: LettaStore, agent_id: str, label: str = GROUP.label) -> Any:
    return json.loads((await store.read(agent_id))[label].value)


def now() -> float:
    return NOON


async def test_notes_made_by_the_npcs_own_tools_survive_everything(
    client: AsyncLetta, store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(tools=TOOLS)

    async def use(tool: str, **args: object) -> None:
        done = await client.agents.tools.run(tool, agent_id=agent_id, args=args)
        assert done.status == "success", done

    async def see(*members: Member, step: int) -> UpdateResult:
        asked = command(*members, offset=step, observed_at=NOON + step)
        return await reconcile(asked, agent_id, store, now)

    assert (await see(ALICE, BOB, step=1)).calls == 5
    await use("core_memory_append", label="group_members", content="Bob owes me five coins")
    await see(ALICE, BOB, step=2)
    await use(
        "core_memory_replace",
        label="group_members",
        old_content='green hat","notes":""',
        new_content='green hat","notes":"likes chess"',
    )
    await use("core_memory_append", label="status", content="I am tired")
    left = await see(ALICE, GRETA, step=3)
    assert left.outcome is Outcome.APPLIED
    assert "1002" not in (await value(store, agent_id))["members"]
    await see(ALICE, GRETA, BOB, step=4)

    document = await value(store, agent_id)
    assert document["members"]["1002"]["notes"] == "likes chess"
    assert document["unsorted_notes"] == ["Bob owes me five coins"]
    assert document["updates"][:2] == ["Bob joined the group", "Greta joined the group"]
    assert (await value(store, agent_id, "status"))["unsorted_notes"] == ["I am tired"]
    assert (await see(ALICE, GRETA, BOB, step=5)).outcome is Outcome.UNCHANGED


async def test_a_storm_on_several_npcs_ends_with_the_newest_command_in_every_memory(
    store: LettaStore, new_agent: NewAgent
) -> None:
    npcs = [f"npc-{uuid4()}" for _ in range(4)]
    agents = {npc_id: await new_agent(f"npc:{npc_id}") for npc_id in npcs}
    results: list[UpdateResult] = []
    all_done, count = asyncio.Event(), 4 * 12

    async def publish(told: UpdateResult) -> None:
        results.append(told)

    async def nothing(*_: object) -> None:
        return

    def done() -> None:
        if len(results) == count:
            all_done.set()

    loop = WriteLoop(store, publish, lambda _: None, nothing, nothing)
    for step in range(12):
        for npc_id in npcs:
            members = (ALICE, BOB) if step % 2 else (GRETA,)
            loop.submit(
                command(*members, npc_id=npc_id, offset=step, observed_at=NOON + step), done
            )
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await all_done.wait()

    assert loop.standing() == (0, 0, 0, 0)
    assert {told.outcome for told in results} <= {Outcome.APPLIED, Outcome.SUPERSEDED}
    for agent_id in agents.values():
        assert (await value(store, agent_id))["summary"] == "Current members: Alice, Bob"
    assert await loop.stop(1.0) == 0


async def test_an_npc_is_taken_up_when_its_agent_appears(
    store: LettaStore, new_agent: NewAgent
) -> None:
    npc_id = f"npc-{uuid4()}"
    told_of = {Outcome.FAILED: asyncio.Event(), Outcome.APPLIED: asyncio.Event()}

    async def publish(told: UpdateResult) -> None:
        told_of[told.outcome].set()

    async def nothing(*_: object) -> None:
        return

    loop = WriteLoop(store, publish, lambda _: None, nothing, nothing, look_interval=0.2)
    loop.submit(command(ALICE, npc_id=npc_id), lambda: None)
    async with asyncio.timeout(30):
        await told_of[Outcome.FAILED].wait()
        agent_id = await new_agent(f"npc:{npc_id}")
        await told_of[Outcome.APPLIED].wait()

    assert (await value(store, agent_id))["summary"] == "Current members: Alice"
    await loop.stop(5.0)
