"""What Letta does to memory blocks while an NPC thinks, and what the writer makes of it."""

import asyncio
import json
from typing import Any

import pytest
from letta_client import AsyncLetta

from streams.settings import Layout, Settings
from streams.writer.letta import LettaStore
from streams.writer.reconcile import GROUP, STATUS, reconcile
from streams.writer.store import Block
from tests.npc.edits import Figures, Options, run
from tests.npc.ledger import Fate, note
from tests.npc.model import LAST_WORDS, Script, ScriptedModel, ToolCall
from tests.npc.witness import is_reverted
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import Member, Outcome, Reason, UpdateResult

pytestmark = pytest.mark.integration

TOOLS = ("core_memory_append", "memory_insert")

HOLDING = '''
def look_back(agent_state: "AgentState") -> str:
    """A tool that is handed the agent's memory and leaves it alone."""
    return "nothing new"
'''
BARE = '''
def look_up() -> str:
    """A tool that is not handed the agent's memory."""
    return "a bird"
'''


def appending(text: str, label: str = STATUS.label, when: asyncio.Event | None = None) -> ToolCall:
    return ToolCall("core_memory_append", {"label": label, "content": text}, when=when)


class Thinker:
    """An NPC whose thoughts end when a test says so."""

    def __init__(self, client: AsyncLetta, store: LettaStore, agent_id: str) -> None:
        self.client, self.store, self.agent_id = client, store, agent_id
        self.step = 0

    async def see(self, *members: Member, reason: Reason = Reason.MEMBERS) -> UpdateResult:
        self.step += 1
        asked = command(*members, reason=reason, offset=self.step, observed_at=NOON + self.step)
        return await reconcile(asked, self.agent_id, self.store, lambda: NOON)

    async def blocks(self) -> dict[str, Block]:
        return await self.store.read(self.agent_id)

    async def play(self, script: Script) -> list[str]:
        """The whole step; what its tools answered and the NPC said."""
        said = await self.client.agents.messages.create(self.agent_id, messages=[script.message])
        told = (
            getattr(m, "tool_return", None) or getattr(m, "content", None) for m in said.messages
        )
        return [str(text) for text in told if text is not None]


@pytest.fixture
async def npc(client: AsyncLetta, store: LettaStore, new_agent: NewAgent) -> Thinker:
    for source in (HOLDING, BARE):
        await client.tools.upsert(source_code=source)
    return Thinker(client, store, await new_agent(tools=(*TOOLS, "look_back", "look_up")))


async def test_a_scripted_model_drives_a_whole_step_streamed_or_not(
    npc: Thinker, model: ScriptedModel
) -> None:
    await npc.see(ALICE)
    whole = await npc.play(model.script(appending(note(1)), appending(note(2), GROUP.label)))
    streamed = await npc.client.agents.messages.create(
        npc.agent_id,
        messages=[model.script(appending(note(3))).message],
        streaming=True,
        stream_tokens=True,
    )
    kinds = [getattr(event, "message_type", None) async for event in streamed]

    blocks = await npc.blocks()
    assert LAST_WORDS == whole[-1]
    assert "tool_return_message" in kinds
    assert blocks[STATUS.label].value.endswith(f"\n{note(1)}\n{note(3)}")
    assert blocks[GROUP.label].value.endswith(f"\n{note(2)}")


@pytest.mark.parametrize(
    ("call", "is_written_back"),
    [
        (appending(note(1)), True),
        (ToolCall("memory_insert", {"label": STATUS.label, "new_string": note(1)}), True),
        (ToolCall("look_back"), True),
        (ToolCall("look_up"), False),
        (ToolCall("no_such_tool"), False),
    ],
    ids=lambda value: value.tool if isinstance(value, ToolCall) else "",
)
async def test_every_tool_that_holds_the_memory_writes_all_blocks_back_but_not_their_metadata(
    npc: Thinker, model: ScriptedModel, call: ToolCall, is_written_back: bool
) -> None:
    await npc.see(ALICE)
    goes_on = asyncio.Event()
    script = model.script(call._replace(when=goes_on))

    step = asyncio.create_task(npc.play(script))
    await asyncio.wait_for(script.is_begun.wait(), 30)
    await npc.see(ALICE, BOB)
    written = await npc.blocks()
    goes_on.set()
    await step

    found = await npc.blocks()
    assert is_written_back == ("Bob" not in found[GROUP.label].value)
    assert is_written_back == is_reverted(found[GROUP.label])
    assert written[GROUP.label].metadata == found[GROUP.label].metadata


async def test_what_a_step_wrote_back_is_repaired_by_the_next_look_and_its_note_stays(
    npc: Thinker, model: ScriptedModel
) -> None:
    await npc.see(ALICE)
    goes_on = asyncio.Event()
    script = model.script(appending(note(1), GROUP.label, goes_on))
    step = asyncio.create_task(npc.play(script))
    await asyncio.wait_for(script.is_begun.wait(), 30)
    await npc.see(ALICE, BOB)
    goes_on.set()
    await step

    told = await npc.see(ALICE, BOB, reason=Reason.VERIFY)

    group = json.loads((await npc.blocks())[GROUP.label].value)
    assert Outcome.REPAIRED == told.outcome
    assert "Current members: Alice, Bob" == group["summary"]
    assert [note(1)] == group["unsorted_notes"]


async def test_a_step_has_an_active_run_while_it_lasts_and_a_tool_alone_has_none(
    npc: Thinker, model: ScriptedModel
) -> None:
    async def runs(**which: Any) -> list[str | None]:
        listed = await npc.client.runs.list(agent_id=npc.agent_id, **which)
        return [run.status for run in listed.items]

    await npc.see(ALICE)
    await npc.client.agents.tools.run(
        "core_memory_append",
        agent_id=npc.agent_id,
        args={"label": STATUS.label, "content": note(1)},
    )
    assert [] == await runs()
    goes_on = asyncio.Event()
    script = model.script(appending(note(2), when=goes_on))
    step = asyncio.create_task(npc.play(script))
    await asyncio.wait_for(script.is_begun.wait(), 30)
    during = await runs(active=True)
    goes_on.set()
    await step

    assert ["created"] == during
    assert [] == await runs(active=True)
    assert ["completed"] == await runs()


async def test_notes_made_while_commands_stream_in_are_lost_in_known_ways_alone(
    letta_url: str,  # noqa: F811
) -> None:
    figures = await run(letta_url, Options(edits=15, agents=3, pause=0.1, steps=0.2))

    assert 15 == len(figures.edits)
    assert (0, []) == (figures.unexplained, figures.wrong)
    assert figures.count(Fate.KEPT) > 0
    assert_nobody_starved(figures)


async def test_in_the_split_layout_every_note_that_a_tool_took_is_kept(
    letta_url: str,  # noqa: F811
) -> None:
    settings = Settings(layout=Layout.SPLIT)

    figures = await run(letta_url, Options(edits=15, agents=3, pause=0.1, steps=0.2), settings)

    assert 15 == figures.count(Fate.KEPT) + figures.count(Fate.REFUSED)
    assert [] == figures.wrong
    assert_nobody_starved(figures)


async def test_a_storm_of_edits_on_one_npc_ends_without_conflicts_that_feed_on_each_other(
    letta_url: str,  # noqa: F811
) -> None:
    figures = await run(letta_url, Options(edits=20, agents=1, pause=0.0, steps=0.1, hands=8))

    assert 20 == len(figures.edits)
    assert (0, []) == (figures.unexplained, figures.wrong)
    assert figures.conflicts <= len(figures.writes)
    assert_nobody_starved(figures)


def assert_nobody_starved(figures: Figures) -> None:
    """Every command came to an end, and most of them wrote."""
    outcomes = {told.outcome for told in figures.results}
    assert outcomes <= {Outcome.APPLIED, Outcome.UNCHANGED, Outcome.REPAIRED}
    assert figures.writes
