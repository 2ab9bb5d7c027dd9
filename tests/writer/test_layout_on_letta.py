"""The split layout on the real Letta, with NPC edits made by Letta's own memory tools.

`ROLLCALL_TEST_EDITS` sets how many notes the NPC makes; the default suits every day.
"""

import asyncio
import itertools
import os

import pytest
from letta_client import AsyncLetta

from streams.settings import Layout
from streams.writer.layout import NOTES
from streams.writer.letta import LettaStore
from streams.writer.reconcile import GROUP, STATUS, Reconciler
from streams.writer.rules import Rules
from tests.writer.agents import NewAgent
from tests.writer.commands import ALICE, BOB, GRETA, NOON, command

pytestmark = pytest.mark.integration
EDITS = int(os.environ.get("ROLLCALL_TEST_EDITS", "20"))
split = Reconciler(Rules(layout=Layout.SPLIT))


def now() -> float:
    return NOON


async def test_no_note_is_lost_while_the_writer_writes_as_fast_as_it_can(
    client: AsyncLetta, store: LettaStore, new_agent: NewAgent
) -> None:
    agent_id = await new_agent(tools=["core_memory_append"])
    await split(command(ALICE), agent_id, store, now)
    written = 0

    async def keep_writing() -> None:
        nonlocal written
        for step in itertools.count(1):
            members = (ALICE, BOB) if step % 2 else (ALICE, GRETA)
            asked = command(*members, offset=10 + step, observed_at=NOON + step)
            written += len((await split(asked, agent_id, store, now)).blocks)

    writer = asyncio.create_task(keep_writing())
    answers = [
        await client.agents.tools.run(
            "core_memory_append", agent_id=agent_id, args={"label": NOTES, "content": f"<{n}>"}
        )
        for n in range(EDITS)
    ]
    writer.cancel()

    notes = (await store.read(agent_id))[NOTES].value
    refused = [str(answer.stderr) for answer in answers if answer.status != "success"]
    assert [n for n in range(EDITS) if f"<{n}>" not in notes] == []
    # Letta's tool also writes back the blocks of ours that it held, and tells a clash there, though
    # the note has been kept.
    assert [reason for reason in refused if "updated by another transaction" not in reason] == []
    assert written >= EDITS / 4
    print(f"{EDITS} edits, {len(refused)} told a clash, {written} blocks written meanwhile")


@pytest.mark.parametrize("label", [GROUP.label, STATUS.label])
async def test_lettas_tools_refuse_to_edit_the_games_blocks(
    client: AsyncLetta, store: LettaStore, new_agent: NewAgent, label: str
) -> None:
    agent_id = await new_agent(tools=["core_memory_append"])
    await split(command(ALICE), agent_id, store, now)

    answer = await client.agents.tools.run(
        "core_memory_append", agent_id=agent_id, args={"label": label, "content": "x"}
    )

    assert answer.status == "error"
    assert "read-only" in str(answer.stderr)
