"""NPCs moved to a layout over Letta, some at a time; each by reads and one request after each.

fate       the NPC's memory
---------  ---------------------------------------------------------------------------
moved      stands in the layout, and a last read has shown it
there      stood in it already
empty      has no blocks yet; the writer will make them as the layout wants them
no agent   does not exist yet
refused    is as it was: its notes do not fit; `details` says how much is too much
failed     is whole, but may stand between two layouts: the same again goes on
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

import orjson

from ops.layout.moves import Notes, notes_in, notes_of
from ops.layout.steps import (
    Change,
    Create,
    Delete,
    Standing,
    Step,
    Write,
    arrival,
    next_step,
    standing_of,
)
from streams.settings import Layout
from streams.writer.budget import LIMIT, DoesNotFitError
from streams.writer.layout import FACTS, NOTES
from streams.writer.store import (
    AgentMissingError,
    Block,
    BlockMissingError,
    BlockStore,
    ConflictError,
    StoreError,
    TemporaryError,
    find_agent,
)
from topics.models import RosterEntry

AT_ONCE = 4
"""NPCs moved at the same time: one Letta server does most at about four."""

TRIES = 3
"""Attempts for an NPC while Letta is slow or busy."""

_MOST_READS = 40
_BATCH = 50
_PAUSE, _LONGEST_PAUSE = 1.0, 10.0

_Answer = TypeVar("_Answer")


class Fate(StrEnum):
    """What became of an NPC; see the table above."""

    MOVED = "moved"
    THERE = "there"
    EMPTY = "empty"
    NO_AGENT = "no agent"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an NPC. `fields`, `characters`: of the NPC's own that had to move."""

    npc_id: str
    fate: Fate
    agent_id: str | None = None
    standing: Standing = Standing.EMPTY
    """Before."""
    fields: int = 0
    characters: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Characters of each block in the end, by label."""
    notes_limit: int | None = None
    """Characters that `group_notes` may hold in the end, where it is more than usual."""
    details: str = ""


OnTold = Callable[[Told], None]


async def agents_of(npcs: Sequence[RosterEntry], store: BlockStore) -> dict[str, str | None]:
    """The agent of each NPC: the roster's, else the one with its tag. Raises StoreError.

    An agent that several NPCs share is given to the first of them: their blocks are the same.
    """
    untold = [npc.npc_id for npc in npcs if not npc.agent_id]
    found: dict[str, str] = {}
    for start in range(0, len(untold), _BATCH):
        found |= await store.find_agents(untold[start : start + _BATCH])
    agents: dict[str, str | None] = {}
    for npc in npcs:
        agent_id = npc.agent_id or found.get(npc.npc_id)
        if agent_id is None or agent_id not in agents.values():
            agents[npc.npc_id] = agent_id
    return agents


async def move_all(
    agents: Mapping[str, str | None],
    store: BlockStore,
    layout: Layout,
    on_told: OnTold,
    *,
    dry_run: bool = False,
) -> None:
    """Moves the agents of these NPCs, and tells of each as it is done. `dry_run`: only looks."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(npc_id: str, agent_id: str | None) -> None:
        async with slots:
            on_told(await told_of(npc_id, agent_id, store, layout, dry_run=dry_run))

    async with asyncio.TaskGroup() as group:
        for npc_id, agent_id in agents.items():
            group.create_task(one(npc_id, agent_id))


async def told_of(
    npc_id: str, agent_id: str | None, store: BlockStore, layout: Layout, *, dry_run: bool = False
) -> Told:
    """Moves one NPC, or only looks. Whatever goes wrong is told, not raised."""
    try:
        agent_id, blocks = await _found(npc_id, agent_id, store)
        if agent_id is None:
            return Told(npc_id, Fate.NO_AGENT)
        told = _outlook(npc_id, agent_id, blocks, layout)
        if dry_run or told.fate is not Fate.MOVED:
            return told
        return await _moved(told, agent_id, store, layout)
    except StoreError as error:
        return Told(npc_id, Fate.FAILED, agent_id, details=f"{error}.")
    except orjson.JSONEncodeError as error:
        details = f"a block's metadata cannot be written again: {error}."
        return Told(npc_id, Fate.REFUSED, agent_id, details=details)


async def _found(
    npc_id: str, agent_id: str | None, store: BlockStore
) -> tuple[str | None, dict[str, Block]]:
    """The agent and its blocks; the tag's where Letta does not know the roster's."""
    if agent_id is not None:
        try:
            return agent_id, await _patiently(lambda: store.read(agent_id))
        except AgentMissingError:
            pass
    tagged = await _patiently(lambda: find_agent(store, npc_id))
    return tagged, await _patiently(lambda: store.read(tagged)) if tagged else {}


def _outlook(npc_id: str, agent_id: str, blocks: Mapping[str, Block], layout: Layout) -> Told:
    """What will be moved, and what comes of it if nobody writes meanwhile."""
    standing = standing_of(blocks)
    told = Told(npc_id, Fate.EMPTY, agent_id, standing)
    if standing is Standing.EMPTY:
        return told
    notes = _to_move(blocks, layout)
    told = replace(
        told,
        fate=Fate.THERE if standing == layout.value else Fate.MOVED,
        fields=sum(1 for _ in notes.values()),
        characters=sum(_size(value) for value in notes.values()),
    )
    try:
        return _with_sizes(told, arrival(blocks, layout))
    except DoesNotFitError as error:
        return replace(told, fate=Fate.REFUSED, details=f"{error}.")


async def _moved(told: Told, agent_id: str, store: BlockStore, layout: Layout) -> Told:
    try:
        return _with_sizes(told, await _go(agent_id, store, layout))
    except DoesNotFitError as error:
        # Somebody wrote meanwhile, and now it is too much: back to where it was.
        await _go(agent_id, store, Layout.SPLIT)
        return replace(told, fate=Fate.REFUSED, details=f"{error}.")


async def _go(agent_id: str, store: BlockStore, layout: Layout) -> dict[str, Block]:
    """All steps of an agent; its blocks in the end. Raises DoesNotFitError."""
    for _ in range(_MOST_READS):
        blocks = await _patiently(lambda: store.read(agent_id))
        step = next_step(blocks, layout)
        if step is None:
            return blocks
        try:
            await _take(step, agent_id, store)
        except (ConflictError, BlockMissingError):
            continue
        except TemporaryError as error:
            await asyncio.sleep(_pause(error))
    raise TemporaryError(f"it was not done after {_MOST_READS} reads: somebody else writes, too")


async def _take(step: Step, agent_id: str, store: BlockStore) -> None:
    match step:
        case Create(label, facts, description, read_only, limit):
            await store.create(
                agent_id,
                label,
                facts.value,
                facts.metadata,
                description,
                read_only=read_only,
                limit=limit,
            )
        case Change(block, read_only, description, limit):
            await store.change(block.id, read_only=read_only, description=description, limit=limit)
        case Write(block, facts):
            await store.write(block.id, facts.value, facts.metadata)
        case Delete(block):
            await store.delete(block.id)


async def _patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Something asked of Letta, again after a pause while it is slow or busy."""
    for _ in range(TRIES - 1):
        try:
            return await ask()
        except TemporaryError as error:
            await asyncio.sleep(_pause(error))
    return await ask()


def _pause(error: TemporaryError) -> float:
    return min(error.delay or _PAUSE, _LONGEST_PAUSE)


def _to_move(blocks: Mapping[str, Block], layout: Layout) -> Notes:
    if layout is Layout.SPLIT:
        return notes_in(blocks)
    return notes_of(blocks[NOTES].value) if NOTES in blocks else Notes()


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else len(orjson.dumps(value).decode())


def _with_sizes(told: Told, blocks: Mapping[str, Block]) -> Told:
    labels = [label for label in (*FACTS, NOTES) if label in blocks]
    limit = blocks[NOTES].limit if NOTES in blocks else None
    return replace(
        told,
        sizes={label: len(blocks[label].value) for label in labels},
        notes_limit=limit if limit and limit > LIMIT else None,
    )
