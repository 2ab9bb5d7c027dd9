"""The demo's Letta agents: created with the memory of `notes`, read back, edited, deleted.

Agents without a model (`letta/letta-free`); an NPC edits its memory through Letta's own tools.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from letta_client import AsyncLetta, NotFoundError

from ops.demo.notes import BLOCK_LIMIT, Note, with_note
from ops.demo.verify import MemoryBlock

MODEL = "letta/letta-free"
TOOL = "core_memory_replace"
CONCURRENCY = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Agents:
    """Agents by npc_id. `ids`: theirs; `tool_ids`: of Letta's memory tool."""

    letta: AsyncLetta
    label: str
    """A tag that all agents of this run have."""
    ids: dict[str, str] = field(default_factory=dict)
    tool_ids: list[str] = field(default_factory=list)

    async def create(
        self, memories: dict[str, dict[str, str]], told: Callable[[int], None]
    ) -> None:
        """One agent for each npc_id, with these blocks by label; `told` hears how many are done."""
        tools = await self.letta.tools.list(name=TOOL)
        self.tool_ids = [tool.id for tool in tools.items]

        async def create_one(npc_id: str) -> None:
            await self._create(npc_id, memories[npc_id])
            told(len(self.ids))

        await each(memories, create_one)

    async def _create(self, npc_id: str, blocks: dict[str, str]) -> None:
        agent = await self.letta.agents.create(
            name=npc_id,
            model=MODEL,
            embedding=MODEL,
            include_base_tools=False,
            tool_ids=self.tool_ids,
            tags=[f"npc:{npc_id}", self.label],
            memory_blocks=[
                {"label": label, "value": value, "limit": BLOCK_LIMIT}
                for label, value in blocks.items()
            ],
        )
        self.ids[npc_id] = agent.id

    async def read(self, npc_id: str) -> dict[str, MemoryBlock]:
        """An NPC's blocks by label."""
        agent = await self.letta.agents.retrieve(self.ids[npc_id], include=["agent.blocks"])
        return {
            str(block.label): MemoryBlock(block.value, dict(block.metadata or {}))
            for block in agent.blocks
        }

    async def write_note(self, note: Note) -> bool:
        """Let the NPC add a note by its own tool; False if its memory changed meanwhile."""
        block = (await self.read(note.npc_id)).get(note.label)
        if block is None:
            return False
        try:
            after = with_note(block.value, note)
        except (ValueError, KeyError, TypeError):
            return False
        arguments: dict[str, object] = {
            "label": note.label,
            "old_content": block.value,
            "new_content": after,
        }
        done = await self.letta.agents.tools.run(
            TOOL, agent_id=self.ids[note.npc_id], args=arguments
        )
        return done.status == "success"

    async def delete(self) -> None:
        """Delete all agents of this run, and their blocks, which Letta would keep."""
        ids = [agent.id async for agent in self.letta.agents.list(tags=[self.label], limit=100)]
        await each(ids, self._delete)
        self.ids.clear()

    async def _delete(self, agent_id: str) -> None:
        try:
            agent = await self.letta.agents.retrieve(agent_id, include=["agent.blocks"])
            await self.letta.agents.delete(agent_id)
            for block in agent.blocks:
                await self.letta.blocks.delete(block.id or "")
        except NotFoundError:
            return


async def each(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], at_once: int = CONCURRENCY
) -> list[Result]:
    """The results of some work on each item, in their order, a few at the same time."""
    places = asyncio.Semaphore(at_once)

    async def one(item: Item) -> Result:
        async with places:
            return await work(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
