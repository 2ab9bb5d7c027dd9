"""`rollcall layout` on the real Kafka and the real Letta."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner, Result
from letta_client import AsyncLetta

from ops.cli import main
from streams.topology import Role, group_id
from streams.writer.letta import LettaStore, connect
from streams.writer.reconcile import reconcile
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent, agents_on, client_of
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.catalogue import NPC_UPDATE_COMMANDS
from topics.connection import KafkaConnection
from topics.publisher import Publisher

TOOLS = ["core_memory_append", "core_memory_replace"]
GROUP, STATUS, NOTES = "group_members", "status", "group_notes"


async def rollcall(*arguments: str) -> Result:
    """The command in a thread of its own, since it runs an event loop."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["layout", *arguments])


async def told(*arguments: str) -> Any:
    result = await rollcall(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_wrong_use_is_told() -> None:
    result = CliRunner().invoke(main, ["layout", "migrate", "--to", "both"])

    assert result.exit_code == 2
    assert "'both' is not one of" in result.output


@pytest.fixture
async def client(
    letta_url: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[AsyncLetta]:
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)
    async with client_of(letta_url) as client:
        yield client


@pytest.fixture
async def store(letta_url: str) -> AsyncIterator[LettaStore]:  # noqa: F811
    store = connect(letta_url)
    yield store
    await store.close()


@pytest.fixture
async def new_agent(client: AsyncLetta) -> AsyncIterator[NewAgent]:
    async with agents_on(client) as make:
        yield make


async def in_the_roster(connection: KafkaConnection, *npc_ids: str) -> None:
    async with Publisher(connection) as publisher:
        for npc_id in npc_ids:
            await publisher.roster({"npc_id": npc_id, "name": npc_id})


def now() -> float:
    return NOON


@pytest.mark.integration
async def test_notes_made_by_letta_tools_go_there_and_back(
    connection: KafkaConnection, client: AsyncLetta, store: LettaStore, new_agent: NewAgent
) -> None:
    npc_id, nobody = f"npc-{uuid4()}", f"npc-{uuid4()}"
    agent_id = await new_agent(f"npc:{npc_id}", tools=TOOLS)
    await in_the_roster(connection, npc_id, nobody)

    async def use(tool: str, **args: object) -> str:
        done = await client.agents.tools.run(tool, agent_id=agent_id, args=args)
        return done.status

    async def blocks() -> dict[str, Any]:
        return {label: json.loads(b.value) for label, b in (await store.read(agent_id)).items()}

    await reconcile(command(ALICE, BOB, npc_id=npc_id), agent_id, store, now)
    note = {"old_content": 'hat","notes":""', "new_content": 'hat","notes":"owes me"'}
    assert await use("core_memory_replace", label=GROUP, **note) == "success"
    assert await use("core_memory_append", label=STATUS, content="I am tired") == "success"

    outlook = await told("migrate", "--to", "split", "--dry-run")
    there = await told("migrate", "--to", "split")
    stands = await told("status")
    assert outlook == there
    assert {one["npc_id"]: (one["fate"], one["fields"]) for one in there} == {
        npc_id: ("moved", 2),
        nobody: ("no agent", 0),
    }
    assert {one["npc_id"]: one["standing"] for one in stands["npcs"]} == {
        npc_id: "split",
        nobody: None,
    }
    assert (await blocks())[NOTES] == {
        "about": {"1002": {"name": "Bob", "notes": "owes me"}},
        "about_me": {"unsorted_notes": ["I am tired"]},
    }
    assert await use("core_memory_append", label=GROUP, content="x") == "error"
    assert await use("core_memory_append", label=STATUS, content="x") == "error"
    assert await use("core_memory_append", label=NOTES, content="rain tomorrow") == "success"

    back = await told("migrate", "--to", "shared", npc_id)

    found = await blocks()
    assert [one["fate"] for one in back] == ["moved"]
    assert found[GROUP]["members"]["1002"]["notes"] == "owes me"
    assert found[GROUP]["unsorted_notes"] == ["rain tomorrow"]
    assert found[STATUS]["unsorted_notes"] == ["I am tired"]
    assert NOTES not in found
    assert await use("core_memory_append", label=GROUP, content="x") == "success"


@pytest.mark.integration
async def test_nothing_is_moved_while_a_writer_runs(
    connection: KafkaConnection, store: LettaStore, new_agent: NewAgent
) -> None:
    npc_id = f"npc-{uuid4()}"
    agent_id = await new_agent(f"npc:{npc_id}", group_members="{}")
    await in_the_roster(connection, npc_id)
    writer = AIOKafkaConsumer(
        connection.topic(NPC_UPDATE_COMMANDS),
        **connection.client_options(),
        group_id=group_id(Role.WRITER, connection.topic_prefix),
    )
    await writer.start()
    try:
        refused = await rollcall("migrate", "--to", "split")
        before = await store.read(agent_id)
        moved = await rollcall("migrate", "--to", "split", "--while-running")
    finally:
        await writer.stop()

    assert refused.exit_code == 1
    assert "1 writer runs and may undo what is moved" in refused.output
    assert list(before) == [GROUP]
    assert (moved.exit_code, NOTES in await store.read(agent_id)) == (0, True)


@pytest.mark.integration
async def test_the_table_tells_numbers_and_no_text(
    connection: KafkaConnection, store: LettaStore, new_agent: NewAgent
) -> None:
    npc_id = f"npc-{uuid4()}"
    await new_agent(f"npc:{npc_id}", status='{"mood":"glum"}')
    await in_the_roster(connection, npc_id)

    result = await rollcall("migrate", "--to", "split", "--dry-run")

    assert result.exit_code == 0
    assert "To split: 1 to move." in result.output
    assert "glum" not in result.output


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status",), "the roster is empty"),
        (("migrate", "--to", "split", "npc-x"), "the roster has no NPC 'npc-x'"),
    ],
)
def test_a_roster_without_the_npc_is_told(
    connection: KafkaConnection, arguments: tuple[str, ...], sentence: str
) -> None:
    result = CliRunner().invoke(main, ["layout", *arguments])

    assert result.exit_code == 1
    assert sentence in result.output
