"""One suite for every store: against the stand-in, and against the real Letta."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from streams.writer.letta import LettaStore, connect
from streams.writer.store import (
    AgentMissingError,
    BlockMissingError,
    ConflictError,
    PermanentError,
    find_agent,
)
from tests.fake_letta import FakeLetta
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent, agents_on, client_of

Call = tuple[str, str, float]
NOBODY = "agent-00000000-0000-4000-8000-000000000000"
NO_BLOCK = "block-00000000-0000-4000-8000-000000000000"


@pytest.fixture(params=["stand-in", pytest.param("letta", marks=pytest.mark.integration)])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "letta":
        yield request.getfixturevalue("letta_url")
        return
    async with FakeLetta().serving() as fake:
        yield fake.url


@pytest.fixture
async def store(url: str) -> AsyncIterator[LettaStore]:
    store = connect(url)
    yield store
    await store.close()


@pytest.fixture
async def new_agent(url: str) -> AsyncIterator[NewAgent]:
    async with client_of(url) as client, agents_on(client) as make:
        yield make


def an_npc() -> str:
    return f"npc-{uuid4()}"


async def test_all_blocks_come_with_one_request(store: LettaStore, new_agent: NewAgent) -> None:
    agent_id = await new_agent(group_members="{}", status="by the well", other="x")
    calls: list[Call] = []

    blocks = await store.observed_by(lambda *call: calls.append(call)).read(agent_id)

    assert {label: block.value for label, block in blocks.items()} == {
        "group_members": "{}",
        "status": "by the well",
        "other": "x",
    }
    assert [call[:2] for call in calls] == [("read", "200")]


async def test_reads_at_the_same_time_share_a_request_once_the_tags_are_known(
    store: LettaStore, new_agent: NewAgent
) -> None:
    places = ["by the well", "at the mill", "in the inn"]
    agents = [await new_agent(f"npc:{an_npc()}", status=place) for place in places]
    for agent_id in agents:
        await store.read(agent_id)
    block = (await store.read(agents[0]))["status"]
    await store.write(block.id, "by the well", {"rollcall": {"offset": 7}})
    calls: list[Call] = []
    watched = store.observed_by(lambda *call: calls.append(call))

    together = await asyncio.gather(*map(watched.read, agents))

    assert places == [blocks["status"].value for blocks in together]
    assert {"rollcall": {"offset": 7}} == together[0]["status"].metadata
    assert [await store.read(agent_id) for agent_id in agents] == together
    assert [("read_several", "200")] == [call[:2] for call in calls]


async def test_value_and_metadata_are_written_together_byte_for_byte(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(status="")
    block = (await store.read(agent_id))["status"]
    value = '{"a":"é ß 🦊 \\" \\\\ \\u0000 \\n","b":[1,2.50,null]}\n  and a line '
    metadata = {"zebra": 1, "rollcall": {"offset": 2**53, "t": 1795426413.2, "absent": {"ä": {}}}}

    await store.write(block.id, value, metadata)

    read = (await store.read(agent_id))["status"]
    assert read.value == value
    assert read.metadata == metadata


async def test_a_write_replaces_the_whole_metadata(store: LettaStore, new_agent: NewAgent) -> None:
    agent_id = await new_agent(status="")
    block = (await store.read(agent_id))["status"]
    await store.write(block.id, "x", {"theirs": 1})

    await store.write(block.id, "x", {"rollcall": 2})

    assert (await store.read(agent_id))["status"].metadata == {"rollcall": 2}


async def test_a_value_longer_than_the_limit_is_not_cut(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(status="")
    block = (await store.read(agent_id))["status"]

    await store.write(block.id, "x" * 6000, {})

    assert (await store.read(agent_id))["status"].value == "x" * 6000


async def test_a_block_is_created_with_metadata_and_limit_by_two_requests(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent()
    calls: list[Call] = []

    created = await store.observed_by(lambda *call: calls.append(call)).create(
        agent_id, "group_members", "{}", {"rollcall": {"v": 1}}, "who is here"
    )

    block = (await store.read(agent_id))["group_members"]
    assert block == created
    assert (block.value, block.metadata, block.limit) == ("{}", {"rollcall": {"v": 1}}, 5000)
    assert [call[:2] for call in calls] == [("create_block", "200"), ("attach_block", "200")]


async def test_a_block_is_created_read_only_with_a_limit_of_its_own(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent()

    await store.create(agent_id, "notes", "x", {}, "to you", read_only=True, limit=12_000)

    block = (await store.read(agent_id))["notes"]
    assert (block.read_only, block.limit, block.description) == (True, 12_000, "to you")


async def test_a_change_leaves_value_and_metadata_and_what_it_does_not_name(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent()
    made = await store.create(agent_id, "notes", "mine", {"k": 1}, "to you")
    calls: list[Call] = []

    await store.observed_by(lambda *call: calls.append(call)).change(made.id, read_only=True)
    locked = (await store.read(agent_id))["notes"]
    await store.change(made.id, read_only=False, limit=9000, description="")

    block = (await store.read(agent_id))["notes"]
    assert (locked.read_only, locked.limit, locked.description) == (True, 5000, "to you")
    assert (block.read_only, block.limit, block.description) == (False, 9000, "")
    assert [(b.value, b.metadata) for b in (locked, block)] == [("mine", {"k": 1})] * 2
    assert [call[:2] for call in calls] == [("change_block", "200")]


async def test_a_read_only_block_is_written_all_the_same(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent()
    made = await store.create(agent_id, "notes", "old", {}, "", read_only=True)

    await store.write(made.id, "new", {"k": 1})

    block = (await store.read(agent_id))["notes"]
    assert (block.value, block.metadata, block.read_only) == ("new", {"k": 1}, True)


async def test_a_deleted_block_is_gone_from_its_agent(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(status="x")
    made = await store.create(agent_id, "notes", "", {}, "")

    await store.delete(made.id)

    assert list(await store.read(agent_id)) == ["status"]
    with pytest.raises(BlockMissingError):
        await store.delete(made.id)
    with pytest.raises(BlockMissingError):
        await store.change(made.id, read_only=True)


async def test_a_second_block_of_one_label_is_a_conflict_and_leaves_nothing_behind(
    store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(status="mine")
    calls: list[Call] = []

    with pytest.raises(ConflictError):
        await store.observed_by(lambda *call: calls.append(call)).create(
            agent_id, "status", "yours", {}, ""
        )

    assert (await store.read(agent_id))["status"].value == "mine"
    assert [call[:2] for call in calls] == [
        ("create_block", "200"),
        ("attach_block", "409"),
        ("delete_block", "200"),
    ]


async def test_a_block_for_an_agent_that_is_gone_leaves_nothing_behind(store: LettaStore) -> None:
    calls: list[Call] = []

    with pytest.raises(AgentMissingError):
        await store.observed_by(lambda *call: calls.append(call)).create(
            NOBODY, "status", "x", {}, ""
        )

    assert calls[-1][:2] == ("delete_block", "200")


async def test_an_agent_is_found_by_its_tag_alone(store: LettaStore, new_agent: NewAgent) -> None:
    npc_id = an_npc()
    agent_id = await new_agent("other", f"npc:{npc_id}")
    await new_agent(f"npc:{npc_id}x")
    await new_agent(npc_id)

    assert await find_agent(store, npc_id) == agent_id
    assert await find_agent(store, npc_id[:-1]) is None


async def test_of_several_agents_with_a_tag_the_oldest_counts(
    store: LettaStore, new_agent: NewAgent
) -> None:
    npc_id = an_npc()
    oldest = await new_agent(f"npc:{npc_id}")
    for _ in range(3):
        await new_agent(f"npc:{npc_id}")

    assert await find_agent(store, npc_id) == oldest


async def test_many_npcs_are_looked_for_with_one_request(
    store: LettaStore, new_agent: NewAgent
) -> None:
    npcs = [an_npc() for _ in range(3)]
    agents = [await new_agent(f"npc:{npc_id}") for npc_id in npcs]
    calls: list[Call] = []

    found = await store.observed_by(lambda *call: calls.append(call)).find_agents(
        [*npcs, *(an_npc() for _ in range(20))]
    )

    assert found == dict(zip(npcs, agents, strict=True))
    assert [call[:2] for call in calls] == [("find_agents", "200")]


@pytest.mark.parametrize("odd", ["a,b", "ä ö", "x&tags=y", "%2C", "a/b", "q?r#s", "'; drop"])
async def test_odd_ids_are_no_trouble(store: LettaStore, new_agent: NewAgent, odd: str) -> None:
    npc_id = f"{odd}-{uuid4()}"
    agent_id = await new_agent(f"npc:{npc_id}")

    assert await find_agent(store, npc_id) == agent_id


@pytest.mark.parametrize("nobody", [NOBODY, "nonsense", "../blocks", "..", "", "agent-1/2"])
async def test_an_agent_that_is_not_there_is_missing(store: LettaStore, nobody: str) -> None:
    with pytest.raises(AgentMissingError):
        await store.read(nobody)


async def test_a_block_that_is_not_there_is_missing(store: LettaStore) -> None:
    with pytest.raises(BlockMissingError):
        await store.write(NO_BLOCK, "x", {})


async def test_an_impossible_block_id_is_refused_without_quoting_it(store: LettaStore) -> None:
    with pytest.raises(PermanentError) as refused:
        await store.write("nonsense", "secret text", {})

    assert str(refused.value) == "Letta answered 422 to a write: string_pattern_mismatch"


async def test_a_block_of_several_agents_changes_for_all(
    store: LettaStore, new_agent: NewAgent
) -> None:
    one = await new_agent(status="shared")
    block = (await store.read(one))["status"]
    other = await new_agent(block_ids=[block.id])

    await store.write(block.id, "new", {"k": 1})

    assert (await store.read(other))["status"] == (await store.read(one))["status"]
    assert (await store.read(other))["status"].value == "new"


async def test_a_block_is_read_and_written_by_label(store: LettaStore, new_agent: NewAgent) -> None:
    agent_id = await new_agent(status="old")

    await store.write_by_label(agent_id, "status", "new", {"k": 1})

    block = await store.read_by_label(agent_id, "status")
    assert (block.value, block.metadata) == ("new", {"k": 1})
    with pytest.raises(BlockMissingError):
        await store.read_by_label(agent_id, "group_members")


async def test_runs_are_told_of_without_any(store: LettaStore, new_agent: NewAgent) -> None:
    agent_id = await new_agent(status="")

    runs = await store.runs()

    assert agent_id not in {run.agent_id for run in runs}


async def test_metadata_is_set_without_the_value(store: LettaStore, new_agent: NewAgent) -> None:
    agent_id = await new_agent(status="as it was")
    block = (await store.read(agent_id))["status"]

    await store.change(block.id, metadata={"rollcall": {"offset": 7}, "theirs": 1})

    read = (await store.read(agent_id))["status"]
    assert ("as it was", {"rollcall": {"offset": 7}, "theirs": 1}) == (read.value, read.metadata)
