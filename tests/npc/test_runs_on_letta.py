"""The write loop beside whole agent steps on the real Letta: it waits for them, and looks after."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from letta_client import AsyncLetta

from streams.writer.letta import LettaStore
from streams.writer.loop import WriteLoop
from streams.writer.reconcile import GROUP, STATUS
from tests.integration.harness import until
from tests.npc.model import Script, ScriptedModel, ToolCall
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent
from tests.writer.commands import ALICE, BOB, NOON, command
from topics.models import Editor, Member, Outcome, UpdateResult

pytestmark = pytest.mark.integration


@dataclass
class Writer:
    """A write loop for one NPC, and what it told."""

    store: LettaStore
    agent_id: str
    patience: float
    told: list[UpdateResult] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.loop = WriteLoop(
            self.store,
            self._publish,
            lambda _: self.agent_id,
            _nothing,
            _nothing,
            recheck_delay=1.0,
            run_patience=self.patience,
        )

    async def _publish(self, result: UpdateResult) -> None:
        self.told.append(result)

    def see(self, *members: Member) -> None:
        self.number += 1
        seen = command(*members, offset=self.number, observed_at=NOON + self.number)
        self.loop.submit(seen, lambda: None)

    async def until(self, outcome: Outcome, count: int = 1) -> None:
        await until(lambda: self.count(outcome) >= count, f"{count} {outcome}")

    def count(self, outcome: Outcome) -> int:
        return [result.outcome for result in self.told].count(outcome)


async def _nothing(*_: object) -> None:
    return None


class Npc:
    """An agent with a step that ends when the test says so."""

    def __init__(self, client: AsyncLetta, model: ScriptedModel, agent_id: str) -> None:
        self.client, self.agent_id = client, agent_id
        self.goes_on = asyncio.Event()
        note = {"label": STATUS.label, "content": "a thought"}
        call = ToolCall("core_memory_append", note, when=self.goes_on)
        self.script: Script = model.script(call)

    async def begin(self) -> "asyncio.Task[object]":
        step = asyncio.create_task(
            self.client.agents.messages.create(self.agent_id, messages=[self.script.message])
        )
        await asyncio.wait_for(self.script.is_begun.wait(), 30)
        return step


@pytest.fixture
async def npc(client: AsyncLetta, model: ScriptedModel, new_agent: NewAgent) -> Npc:
    agent_id = await new_agent(tools=("core_memory_append",), group_members="", status="")
    return Npc(client, model, agent_id)


async def summary(store: LettaStore, agent_id: str) -> str:
    return str(json.loads((await store.read(agent_id))[GROUP.label].value)["summary"])


async def test_what_an_agents_step_wrote_back_is_repaired_and_its_author_told(
    store: LettaStore, npc: Npc
) -> None:
    writer = Writer(store, npc.agent_id, patience=0)
    writer.see(ALICE)
    await writer.until(Outcome.APPLIED)
    step = await npc.begin()
    writer.see(ALICE, BOB)
    await writer.until(Outcome.APPLIED, 2)
    npc.goes_on.set()
    await step

    await writer.until(Outcome.REPAIRED)

    repaired = next(told for told in writer.told if told.outcome is Outcome.REPAIRED)
    assert {Editor.AGENT} == {conflict.by for conflict in repaired.conflicts}
    assert "Current members: Alice, Bob" == await summary(store, npc.agent_id)
    assert "a thought" in (await store.read(npc.agent_id))[STATUS.label].value


async def test_a_command_waits_for_the_end_of_its_agents_step_and_is_not_reverted(
    store: LettaStore, npc: Npc
) -> None:
    writer = Writer(store, npc.agent_id, patience=20.0)
    step = await npc.begin()
    writer.see(ALICE)
    await until(lambda: writer.loop.standing().waiting == 1, "the command to wait")
    before = [*writer.told]
    npc.goes_on.set()
    await step

    await writer.until(Outcome.APPLIED)

    assert [] == before
    assert "Current members: Alice" == await summary(store, npc.agent_id)
    assert "a thought" in (await store.read(npc.agent_id))[STATUS.label].value
