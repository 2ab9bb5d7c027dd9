"""The one door to Letta, as the writer sees it: agents, their memory blocks, and what can go wrong.

error            the writer's answer
---------------  ------------------------------------------------------------------------------
TemporaryError   tries the command again later: Letta is slow, busy, away, or spoke nonsense
ConflictError    reads and merges again: somebody else wrote the same block at the same moment
PermanentError   gives the command up with a result that says why: the same again would fail too
AgentMissingError looks for the agent by its tag, then parks the NPC
BlockMissing     reads again: the block went away between a read and a write
"""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import msgspec

from streams.writer.budget import LIMIT
from streams.writer.document import Document

OnCall = Callable[[str, str, float], None]
"""Told of every request: operation, HTTP status or the kind of failure, seconds."""


class StoreError(Exception):
    """What a store may raise, and nothing else. The text names no secret and no block's content."""


class TemporaryError(StoreError):
    """The same again may work. `delay`: seconds the other side asked for; None: it did not say."""

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class ConflictError(TemporaryError):
    """Somebody else wrote at the same moment."""


class PermanentError(StoreError):
    """The same again will fail again."""


class AgentMissingError(PermanentError):
    """There is no such Letta agent."""


class BlockMissingError(PermanentError):
    """There is no such memory block."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A memory block as it stands in Letta."""

    id: str
    label: str
    value: str
    metadata: Document = {}
    limit: int | None = None
    """Characters; Letta 0.16.8 does not enforce it on an update, other builds do."""
    read_only: bool = False
    """For the agent's own tools; it holds nobody else back."""
    description: str | None = None
    """Told to the NPC with the block."""


RUNS_LISTED = 100
"""Runs that one request tells of at most."""


class AgentRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a Letta agent: it began, and may have ended."""

    id: str
    agent_id: str
    is_active: bool


class BlockStore(Protocol):
    """Memory blocks of Letta agents. Every method raises StoreError alone."""

    async def find_agents(self, npc_ids: Sequence[str]) -> dict[str, str]:
        """Agent ids by NPC id, of the agents that carry the tag `npc:<npc_id>`; one request.

        Of several agents with the same tag the oldest counts.
        """
        ...

    async def read(self, agent_id: str) -> dict[str, Block]:
        """All blocks of an agent by label; one request. Raises AgentMissingError."""
        ...

    async def write(self, block_id: str, value: str, metadata: Document) -> None:
        """Replaces value and the whole metadata; one request. Raises BlockMissingError.

        A block attached to several agents changes for all of them.
        """
        ...

    async def change(
        self,
        block_id: str,
        *,
        read_only: bool | None = None,
        description: str | None = None,
        limit: int | None = None,
        metadata: Document | None = None,
    ) -> None:
        """Sets what is not None and leaves the value alone; one request.

        Raises BlockMissingError.
        """
        ...

    async def create(
        self,
        agent_id: str,
        label: str,
        value: str,
        metadata: Document,
        description: str,
        *,
        read_only: bool = False,
        limit: int = LIMIT,
    ) -> Block:
        """A new block for an agent; two requests, and a third that cleans up if the second fails.

        Raises ConflictError when the agent got a block of this label meanwhile.
        """
        ...

    async def runs(self) -> list[AgentRun]:
        """The newest runs of all agents, newest first, at most RUNS_LISTED; one request.

        Raises PermanentError where the server does not tell.
        """
        ...

    async def delete(self, block_id: str) -> None:
        """Takes a block away from all agents; one request. Raises BlockMissingError."""
        ...

    def observed_by(self, on_call: OnCall) -> Self:
        """The same store, telling `on_call` as well of every request sent through it."""
        ...


async def find_agent(store: BlockStore, npc_id: str) -> str | None:
    """The agent of one NPC by its tag, if there is any."""
    return (await store.find_agents([npc_id])).get(npc_id)
