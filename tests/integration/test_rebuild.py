"""`rollcall rebuild`: every memory becomes what the newest snapshot says, whatever stood there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.tables import read_changelog
from streams.filter.state import dump, load
from streams.home import home_of
from streams.topology import Role, changelog
from tests.integration.commands import rollcall
from tests.integration.conftest import ALICE
from tests.integration.harness import Town, names_in, new_id, new_prefix, until
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GROUPS, PARKED = changelog(Role.FILTER, "groups"), changelog(Role.WRITER, "parked")
NOTES = changelog(Role.WRITER, "notes")
BOB = ("1002", "Bob")


@pytest_asyncio.fixture(loop_scope="session")
async def ruin(kafka_address: str, letta_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path, letta_url) as town:
        yield town


async def stop_all(town: Town) -> None:
    for worker in town.workers.values():
        worker.stop()


async def changed_state(town: Town, npc_id: str, **desired: Any) -> None:
    """A state that reads well and is wrong, as a bug of ours might have left it."""
    key = (home_of(npc_id), npc_id.encode())
    state = load((await read_changelog(town.connection, GROUPS))[key])
    assert state
    wrong = msgspec.structs.replace(
        state, desired=msgspec.structs.replace(state.desired, **desired)
    )
    await town._producer.send_and_wait(
        town.connection.topic(GROUPS), dump(wrong), key[1], partition=key[0]
    )


async def a_note(town: Town) -> TopicPartition:
    """One in the Table of the writer's that a rebuild must leave alone."""
    name, kept = (
        town.connection.topic(NOTES),
        b'{"version":1,"absent":{"1001":{"notes":"owes me"}}}',
    )
    await town._producer.send_and_wait(name, kept, b"0/group_members/npc", partition=0)
    return TopicPartition(name, 0)


async def end_of(town: Town, partition: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(**town.connection.client_options())
    async with consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([partition])
    return ends[partition]


async def test_after_a_rebuild_each_memory_is_as_its_newest_snapshot_says(
    ruin: Town, now: float
) -> None:
    town, npcs, lonely = ruin, [new_id() for _ in range(4)], new_id()
    agents = {npc_id: await town.letta.agent(f"npc:{npc_id}") for npc_id in npcs}
    for role in ("filter", "writer"):
        town.start(role)
    for npc_id in (*npcs, lonely):
        await town.see(npc_id, now - 30, ALICE, location="the inn")
        await town.see(npc_id, now - 20, ALICE, BOB, location="the harbour")
        await town.see(npc_id, now - 10, ALICE, BOB, location="the harbour", action="waving")
    for npc_id in (*npcs, lonely):
        await town.finished(npc_id, 3)

    refused = await rollcall(town, "rebuild", "--yes")
    await stop_all(town)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: 1 filter worker runs; stop every filter and writer")

    note = await a_note(town)
    end = await end_of(town, note)
    await changed_state(town, npcs[0], location="the moon")
    await town.letta.write(agents[npcs[1]], "status", {"current_location": "x", "mood": "fine"})
    await town.see(npcs[2], now, BOB, location="the inn")
    before = await read_changelog(town.connection, GROUPS)

    tried = await rollcall(town, "rebuild", "--dry-run", "--json")
    denied = await rollcall(town, "rebuild", answer="n\n")
    assert (tried.code, denied.code) == (0, 1)
    assert tried.json["done"] is False
    assert before == await read_changelog(town.connection, GROUPS)

    done = await rollcall(town, "rebuild", "--yes", "--json")
    assert done.code == 0, done
    assert done.json["deleted"] == tried.json["deleted"]
    assert done.json["deleted"][town.connection.topic(GROUPS)] == 5
    assert done.json["deleted"][town.connection.topic(PARKED)] == 1
    assert done.json["snapshots"] == 16
    assert {} == await read_changelog(town.connection, GROUPS)
    assert {} == await read_changelog(town.connection, PARKED)
    assert end == await end_of(town, note)

    for role in ("filter", "writer"):
        town.start(role)

    async def are_right() -> bool:
        return all([await _is_right(town, agents[npc_id], npc_id == npcs[2]) for npc_id in npcs])

    await until(are_right, "every memory as its newest snapshot says")
    assert (await town.letta.blocks(agents[npcs[1]]))["status"]["mood"] == "fine"

    async def have_states() -> bool:
        states = await read_changelog(town.connection, GROUPS)
        found = {key[1].decode(): load(value) for key, value in states.items()}
        return all((state := found.get(npc)) and _says(state, npc == npcs[2]) for npc in npcs)

    await until(have_states, "the states to be rebuilt")
    assert {key for key, _ in await read_changelog(town.connection, PARKED)} == {home_of(lonely)}


def _says(state: Any, has_moved: bool) -> bool:
    expected = ("the inn", {"Bob"}) if has_moved else ("the harbour", {"Alice", "Bob"})
    return (state.desired.location, {m.name for m in state.desired.members}) == expected


async def _is_right(town: Town, agent_id: str, has_moved: bool) -> bool:
    blocks = await town.letta.blocks(agent_id)
    names, status = names_in(blocks.get("group_members", {})), blocks.get("status", {})
    expected = ("the inn", {"Bob"}) if has_moved else ("the harbour", {"Alice", "Bob"})
    return (status.get("current_location"), names) == expected
