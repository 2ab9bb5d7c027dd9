"""Agents on a Letta server, taken away with their blocks in the end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import uuid4

from letta_client import AsyncLetta, omit
from letta_client.types import LlmConfigParam


class NewAgent(Protocol):
    """Makes an agent with blocks by label; its id."""

    async def __call__(
        self, *tags: str, block_ids: Sequence[str] = (), tools: Sequence[str] = (), **blocks: str
    ) -> str: ...


@asynccontextmanager
async def agents_on(
    client: AsyncLetta, model: LlmConfigParam | None = None
) -> AsyncIterator[NewAgent]:
    """Agents that think with `model`; without one they cannot take a step."""
    made: list[str] = []

    async def make(
        *tags: str, block_ids: Sequence[str] = (), tools: Sequence[str] = (), **blocks: str
    ) -> str:
        agent = await client.agents.create(
            name=f"test-{uuid4()}",
            model=omit if model else "letta/letta-free",
            llm_config=model or omit,
            embedding="letta/letta-free",
            include_base_tools=False,
            tools=list(tools),
            tags=list(tags),
            memory_blocks=[{"label": label, "value": text} for label, text in blocks.items()],
            block_ids=list(block_ids),
        )
        made.append(agent.id)
        return agent.id

    try:
        yield make
    finally:
        for agent_id in made:
            agent = await client.agents.retrieve(agent_id, include=["agent.blocks"])
            await client.agents.delete(agent_id)
            for block_id in (block.id for block in agent.blocks if block.id):
                await client.blocks.delete(block_id)


def client_of(url: str) -> AsyncLetta:
    """The plain client, without the writer's care."""
    return AsyncLetta(base_url=url, api_key="none", max_retries=0)
