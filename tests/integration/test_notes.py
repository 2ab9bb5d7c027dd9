"""Notes on who left survive the writer and the block, and `rollcall notes` tells of them."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from ops.cli import main
from tests.integration.harness import Town, names_in, new_id, new_prefix, until
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GROUP = "group_members"
BOB, ALICE = ("1002", "Bob"), ("1001", "Alice")
CHESS = "likes chess"

REBALANCE = 60.0
"""Seconds in which a writer must have been given its Tables."""


@pytest_asyncio.fixture(loop_scope="session")
async def small_town(
    kafka_address: str, letta_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    """A filter and a writer of the test's own, which the environment names too."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", connection.topic_prefix)
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)
    async with Town(connection, tmp_path, letta_url) as town:
        for role in ("filter", "writer"):
            town.start(role, SESSION_TIMEOUT=6)
        yield town


async def remembered(town: Town, agent_id: str, *names: str) -> dict[str, Any]:
    async def stands() -> dict[str, Any] | None:
        group = (await town.letta.blocks(agent_id)).get(GROUP, {})
        return group if names_in(group) == set(names) else None

    found: dict[str, Any] = await until(stands, f"{names} in the memory of {agent_id}")
    return found


async def in_transit(town: Town, agent_id: str) -> dict[str, Any]:
    absent: dict[str, Any] = (await town.letta.metadata(agent_id, GROUP))["rollcall"]["absent"]
    return absent


async def noted(town: Town, now: float) -> tuple[str, str]:
    """An NPC and its agent: it noted something on Bob, who left, and the Table has it alone."""
    npc_id = new_id()
    agent_id = await town.letta.agent(f"npc:{npc_id}")
    await town.see(npc_id, now, BOB)
    group = await remembered(town, agent_id, "Bob")
    group["members"]["1002"]["notes"] = CHESS
    await town.letta.write(agent_id, GROUP, group)
    await town.see(npc_id, now + 3)
    await remembered(town, agent_id)
    assert await in_transit(town, agent_id) == {"1002": {"notes": CHESS}}
    await until_kept(town, npc_id, agent_id, now + 3)
    return npc_id, agent_id


async def until_kept(town: Town, npc_id: str, agent_id: str, at: float) -> None:
    """Alice comes and goes until the metadata has nothing left; a rebalance sends all once more."""
    deadline = time.monotonic() + REBALANCE
    for visit in itertools.count(1):
        seen = [ALICE] if visit % 2 else []
        await town.see(npc_id, at + visit / 10, *seen)
        await town.finished(npc_id, 2 + visit)
        if await in_transit(town, agent_id) == {}:
            return
        assert time.monotonic() < deadline, "the notes stay in the metadata"


async def rollcall(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, words)


async def test_notes_survive_a_kill_and_the_block_they_were_written_in(
    small_town: Town, now: float
) -> None:
    npc_id, agent_id = await noted(small_town, now)
    small_town.workers["writer"].kill()
    await small_town.letta.drop(agent_id, GROUP)
    small_town.start("writer", SESSION_TIMEOUT=6)

    await small_town.see(npc_id, now + 60, BOB)

    group = await remembered(small_town, agent_id, "Bob")
    assert group["members"]["1002"]["notes"] == CHESS


async def test_kept_notes_are_shown_and_purged_once_no_writer_runs(
    small_town: Town, now: float
) -> None:
    npc_id, agent_id = await noted(small_town, now)

    shown = await rollcall("notes", npc_id, "--json")
    refused = await rollcall("notes", npc_id, "--purge", "--yes")
    small_town.workers["writer"].stop()
    for_nobody = await rollcall("notes", npc_id, "--purge", "Carol", "--yes")
    purged = await rollcall("notes", npc_id, "--purge", "1002", "--yes")
    after = await rollcall("notes", npc_id)

    [bob] = json.loads(shown.stdout)["blocks"][GROUP]["absent"].values()
    assert bob == {"name": "1002", "notes": {"notes": CHESS}, "in_transit": False}
    assert (refused.exit_code, for_nobody.exit_code) == (1, 1)
    assert "a writer runs" in refused.stderr
    assert (purged.exit_code, after.stdout) == (0, f"Nothing is kept of {npc_id}.\n")
    small_town.start("writer", SESSION_TIMEOUT=6)
    await small_town.see(npc_id, now + 60, BOB)
    group = await remembered(small_town, agent_id, "Bob")
    assert group["members"]["1002"]["notes"] == ""
