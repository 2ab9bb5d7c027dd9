"""Reads of several agents in one request: a read costs Letta almost as much for one as for eight.

    asked for an agent                            read
    --------------------------------------------  ------------------------------------------------
    while nobody reads                            at once, alone
    while a request is on its way                 with the next, and all who ask meanwhile
    whose tag is not known, or who has none       at once, alone, which tells the tag
    whose last shared request failed, or did not  alone, until that works: one agent that Letta
      tell of it                                  stumbles over fails nobody else's read twice

A read is never answered by a request that was sent before it was asked for: what was written in
between would be missing. One shared request at a time: the slower Letta is, the more share one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.writer.store import Block

MOST = 16
"""Agents of one request."""

Blocks = dict[str, Block]
"""An agent's blocks by label."""


class TaggedBlocks(NamedTuple):
    """An agent's blocks, and the tag it can be listed by."""

    blocks: Blocks
    tag: str | None


Alone = Callable[[str], Awaitable[TaggedBlocks]]
"""Reads one agent by its id. Raises StoreError."""

Together = Callable[[Mapping[str, str]], Awaitable[dict[str, Blocks]]]
"""Reads the agents of which ids and tags are given; those it did not find are missing."""


@dataclass(frozen=True, slots=True)
class _Ask:
    agent_id: str
    alone: Alone
    together: Together
    answer: "asyncio.Future[Blocks | None]"
    """None: the shared request did not tell of the agent."""


@dataclass(slots=True)
class SharedReads:
    """Who waits for a read. `tags`: by agent id, of all agents read so far that have one."""

    tags: dict[str, str] = field(default_factory=dict)
    _alone: set[str] = field(default_factory=set)
    _asked: list[_Ask] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    async def read(self, agent_id: str, alone: Alone, together: Together) -> Blocks:
        """An agent's blocks. A shared request goes through the functions of one who asked."""
        if agent_id in self.tags and agent_id not in self._alone:
            shared = await self._ask(_Ask(agent_id, alone, together, _future()))
            if shared is not None:
                return shared
        return await self._read_alone(agent_id, alone)

    async def close(self) -> None:
        """Ends what is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_alone(self, agent_id: str, alone: Alone) -> Blocks:
        found = await alone(agent_id)
        self._alone.discard(agent_id)
        if found.tag is not None:
            self.tags[agent_id] = found.tag
        return found.blocks

    async def _ask(self, ask: _Ask) -> Blocks | None:
        self._asked.append(ask)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await ask.answer

    async def _read_all(self) -> None:
        try:
            while self._asked:
                asks, self._asked = self._asked[:MOST], self._asked[MOST:]
                await self._answer([ask for ask in asks if not ask.answer.done()])
        finally:
            self._reading = None

    async def _answer(self, asks: list[_Ask]) -> None:
        """Tells each what was found, or what went wrong."""
        try:
            found = await self._found(asks)
        except Exception as error:  # noqa: BLE001 - whatever it was, those who asked are told of it
            self._alone.update(ask.agent_id for ask in asks)
            for ask in _unanswered(asks):
                ask.answer.set_exception(error)
            return
        for ask in _unanswered(asks):
            if ask.agent_id not in found:
                self.tags.pop(ask.agent_id, None)
            ask.answer.set_result(found.get(ask.agent_id))

    async def _found(self, asks: list[_Ask]) -> dict[str, Blocks]:
        match asks:
            case []:
                return {}
            case [one]:
                return {one.agent_id: await self._read_alone(one.agent_id, one.alone)}
        return await asks[0].together({ask.agent_id: self.tags[ask.agent_id] for ask in asks})


def _future() -> "asyncio.Future[Blocks | None]":
    return asyncio.get_running_loop().create_future()


def _unanswered(asks: list[_Ask]) -> list[_Ask]:
    """Those who have not gone away meanwhile."""
    return [ask for ask in asks if not ask.answer.done()]
