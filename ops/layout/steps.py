"""The way from one layout to the other, one request to Letta at a time. Pure.

Each step is the first one that is missing in what has just been read, so that a way that broke off
anywhere goes on where it stood, and one that was gone already takes no step.

    to split                                       to shared
    ---------------------------------------------  -----------------------------------------------
    make group_notes, with all notes there are     lock group_notes
    lock the game's blocks for the NPC's tools     put its notes into the game's blocks
    put into group_notes what it lacks, locked     make those that are missing
    take out of the game's blocks what it holds    delete group_notes once they hold everything
    open group_notes                               open the game's blocks

Nothing is taken away before a read has shown it in its new place, and no block is written that the
NPC's tools could edit at that moment.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import msgspec

from ops.layout.moves import Facts, facts_of, noted, notes_in, notes_of, returned, shown
from streams.settings import Layout
from streams.writer.budget import LIMIT
from streams.writer.document import read, render
from streams.writer.layout import DESCRIPTIONS, FACTS, NOTES, is_open, retold
from streams.writer.store import Block

_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Create:
    """A new block for the agent, told about itself as `DESCRIPTIONS` say."""

    label: str
    facts: Facts
    description: str
    read_only: bool = False
    limit: int = LIMIT


@dataclass(frozen=True, slots=True)
class Change:
    """What a block is besides its text; None leaves it as it is."""

    block: Block
    read_only: bool | None = None
    description: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A block's text and metadata."""

    block: Block
    facts: Facts


@dataclass(frozen=True, slots=True)
class Delete:
    """A block whose notes stand elsewhere."""

    block: Block


Step = Create | Change | Write | Delete


class Standing(StrEnum):
    """In which layout an agent's blocks are."""

    SHARED = "shared"
    SPLIT = "split"
    BETWEEN = "between"
    """Neither: a migration broke off, or the setting changed without one."""
    EMPTY = "empty"
    """It has none of the blocks yet; the writer will make them."""


def next_step(blocks: Mapping[str, Block], layout: Layout) -> Step | None:
    """The next step of an agent with these blocks; None: it is there.

    Raises DoesNotFitError when the notes are too large for the shared layout.
    """
    steps = _to_split(blocks) if layout is Layout.SPLIT else _to_shared(blocks)
    return next(steps, None)


def standing_of(blocks: Mapping[str, Block]) -> Standing:
    """Where an agent with these blocks stands."""
    if not _present(blocks) and NOTES not in blocks:
        return Standing.EMPTY
    if next_step(blocks, Layout.SPLIT) is None:
        return Standing.SPLIT
    is_shared = NOTES not in blocks and next_step(blocks, Layout.SHARED) is None
    return Standing.SHARED if is_shared else Standing.BETWEEN


def arrival(blocks: Mapping[str, Block], layout: Layout) -> dict[str, Block]:
    """The blocks as they will be if nobody writes meanwhile. Raises DoesNotFitError."""
    stood = dict(blocks)
    for _ in range(_MOST_STEPS):
        step = next_step(stood, layout)
        if step is None:
            break
        stood = after(step, stood)
    return stood


def after(step: Step, blocks: Mapping[str, Block]) -> dict[str, Block]:
    """The blocks once a step is done."""
    match step:
        case Create(label, facts, description, read_only, limit):
            made = Block(id=label, label=label, value=facts.value, metadata=facts.metadata)
            made = msgspec.structs.replace(
                made, description=description, read_only=read_only, limit=limit
            )
            return {**blocks, label: made}
        case Write(block, facts):
            made = msgspec.structs.replace(block, value=facts.value, metadata=facts.metadata)
            return {**blocks, block.label: made}
        case Delete(block):
            return {label: there for label, there in blocks.items() if label != block.label}
        case Change(block, read_only, description, limit):
            wanted = {"read_only": read_only, "description": description, "limit": limit}
            set_to = {name: value for name, value in wanted.items() if value is not None}
            return {**blocks, block.label: msgspec.structs.replace(block, **set_to)}


def room_for(size: int) -> int:
    """A limit for a block of notes: the usual one, or the next thousand with half as much again."""
    return max(LIMIT, ceil(size * 1.5 / 1000) * 1000) if size > LIMIT else LIMIT


def _present(blocks: Mapping[str, Block]) -> list[Block]:
    return [blocks[label] for label in FACTS if label in blocks]


# -- to split --------------------------------------------------------------------------------------


def _to_split(blocks: Mapping[str, Block]) -> Iterator[Step]:
    notes, facts = blocks.get(NOTES), _present(blocks)
    if notes is None:
        yield from _make_notes(blocks) if facts else ()
        return
    for block in facts:
        if is_open(block):
            yield Change(block, read_only=True, description=retold(block, Layout.SPLIT))
    yield from _put_into(notes, blocks)
    for block in facts:
        yield from _write(block, facts_of(block))
    told = retold(notes, Layout.SPLIT)
    if notes.read_only or told:
        yield Change(notes, read_only=False, description=told)


def _make_notes(blocks: Mapping[str, Block]) -> Iterator[Step]:
    value = shown(noted({}, notes_in(blocks)))
    told = DESCRIPTIONS[Layout.SPLIT][NOTES]
    yield Create(NOTES, Facts(value, {}), told, limit=room_for(len(value)))


def _put_into(notes: Block, blocks: Mapping[str, Block]) -> Iterator[Step]:
    found = read(notes.value).document
    wanted = noted(found, notes_in(blocks))
    if render(wanted) == render(found):
        return
    if is_open(notes):
        yield Change(notes, read_only=True)
    value = shown(wanted)
    if len(value) > (notes.limit or LIMIT):
        yield Change(notes, limit=room_for(len(value)))
    yield Write(notes, Facts(value, notes.metadata))


# -- to shared -------------------------------------------------------------------------------------


def _to_shared(blocks: Mapping[str, Block]) -> Iterator[Step]:
    notes = blocks.get(NOTES)
    if notes is not None:
        # Worked out before anything is locked: what does not fit stays as it was.
        wanted = returned(notes_of(notes.value), blocks)
        if is_open(notes):
            yield Change(notes, read_only=True)
        for label, facts in wanted.items():
            yield from _bring(label, facts, blocks.get(label))
        yield Delete(notes)
    for block in _present(blocks):
        told = retold(block, Layout.SHARED)
        if block.read_only or told:
            yield Change(block, read_only=False, description=told)


def _bring(label: str, facts: Facts, block: Block | None) -> Iterator[Step]:
    if block is not None:
        yield from _write(block, facts)
    elif facts.value or facts.metadata:
        told = DESCRIPTIONS[Layout.SHARED][label]
        yield Create(label, facts, told, read_only=True)


def _write(block: Block, facts: Facts) -> Iterator[Step]:
    """Only a locked block is written, so that no note of the NPC's gets in between."""
    if (facts.value, facts.metadata) == (block.value, block.metadata):
        return
    if is_open(block):
        yield Change(block, read_only=True)
    yield Write(block, facts)
