"""One command against one Letta agent: read all blocks, render ours, write what differs.

Both blocks are rendered from what has just been read and written at once: Letta has no
compare-and-swap, so what an NPC writes in between is lost, and that time is kept short. A block the
agent does not have yet is made in its turn. On a conflict everything is read and merged again; what
was written already then turns out to be as it shall be.

The Table of notes is written last, after both blocks: no wait for Kafka stands between a read and a
write. Why that loses nothing stands in `notes`.

Not covered: a block attached to several agents is one text; two NPCs that share `group_members`
overwrite each other's.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.settings import Layout
from streams.writer import group, status
from streams.writer.budget import LIMIT, DoesNotFitError, limit_of
from streams.writer.document import Document
from streams.writer.layout import DESCRIPTIONS, arrange
from streams.writer.merge import Rendered
from streams.writer.notes import Custody, NoTable, NotesStore, Place, custody_of
from streams.writer.outcome import Effort, outcome_of, result
from streams.writer.rules import DEFAULT_RULES, Rules
from streams.writer.stamp import (
    UNSTAMPED,
    Mark,
    Stamp,
    is_outdated,
    mark_of,
    marked,
    read_stamp,
    stamped,
)
from streams.writer.store import (
    Block,
    BlockMissingError,
    BlockStore,
    ConflictError,
    PermanentError,
    TemporaryError,
)
from topics.models import Desired, Outcome, UpdateCommand, UpdateResult

TRIES = 4
"""Reads of one attempt, before a conflict that does not end is left for later."""


FAR_AHEAD = 86_400.0
"""Seconds by which no clock of a game is ahead of ours; the filter takes 300 as it comes."""


class Render(Protocol):
    """`group_document` and `status_document`."""

    def __call__(
        self,
        theirs: str,
        desired: Desired,
        observed_at: float,
        stamp: Stamp,
        limit: int,
        rules: Rules,
    ) -> Rendered: ...


class BlockKind(NamedTuple):
    """A block that the game writes to."""

    label: str
    render: Render


GROUP = BlockKind(group.LABEL, group.group_document)
STATUS = BlockKind(status.LABEL, status.status_document)
KINDS = (GROUP, STATUS)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Commands against Letta agents, under the rules of one game."""

    rules: Rules = DEFAULT_RULES
    notes: NotesStore = field(default_factory=NoTable)

    async def __call__(
        self,
        command: UpdateCommand,
        agent_id: str,
        store: BlockStore,
        now: Callable[[], float],
        effort: Effort | None = None,
        mark: Mark | None = None,
    ) -> UpdateResult:
        """Makes an agent's blocks say what the command says. `effort`: of earlier attempts.

        `mark`: the command's; None where its own offset is not known.

        Raises StoreError; what was written until then stands in `effort`.
        """
        effort = effort or Effort(attempts=1)
        work = _Work(
            command, mark or mark_of(command), agent_id, effort, self.rules, self.notes, now
        )
        store = store.observed_by(effort.count_call)
        for _ in range(TRIES):
            blocks = await store.read(agent_id)
            if _stands_newer(work, blocks):
                return result(command, Outcome.OUTDATED, effort, now())
            try:
                if await arrange(self.rules.layout, agent_id, store, blocks, effort):
                    continue  # read again, and look again for something newer
                await _write_what_differs(work, store, blocks)
                await _mark_if_unwritten(work, store, blocks)
            except (ConflictError, BlockMissingError):
                continue
            return result(command, outcome_of(command, effort), effort, now())
        raise ConflictError(f"somebody else wrote the same block {TRIES} times in a row")


reconcile = Reconciler()
"""Under the default rules."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One command on its way into one agent's memory."""

    command: UpdateCommand
    mark: Mark
    agent_id: str
    effort: Effort
    rules: Rules
    notes: NotesStore
    now: Callable[[], float]

    def custody(self, label: str, block: Block | None) -> Custody:
        """Who holds which of the notes of a block."""
        stamp = read_stamp(block.metadata) if block else UNSTAMPED
        return custody_of(Place(self.command.npc_id, label), stamp, self.notes, self.now())


def rendered(
    kind: BlockKind,
    command: UpdateCommand,
    block: Block | None,
    rules: Rules = DEFAULT_RULES,
    stamp: Stamp | None = None,
) -> Rendered:
    """What a block shall hold. `stamp`: in the place of the block's own.

    Raises PermanentError where that is impossible.
    """
    value, metadata, limit = (
        (block.value, block.metadata, block.limit) if block else ("", {}, LIMIT)
    )
    stamp, limit = stamp or read_stamp(metadata), limit_of(limit)
    try:
        return kind.render(value, command.desired, command.observed_at, stamp, limit, rules)
    except DoesNotFitError as error:
        raise PermanentError(f"{kind.label} {error}") from error
    except ValueError as error:
        raise PermanentError(str(error)) from error


def _ours(blocks: Mapping[str, Block]) -> list[Block]:
    return [blocks[kind.label] for kind in KINDS if kind.label in blocks]


class _Plan(NamedTuple):
    """What one block shall hold, and what it takes."""

    kind: BlockKind
    block: Block | None
    wanted: Rendered
    custody: Custody


async def _write_what_differs(work: _Work, store: BlockStore, blocks: Mapping[str, Block]) -> None:
    """A block that is impossible to write keeps no other from being written."""
    plans, impossible = _plans(work, blocks)
    written = await _carried_out(plans, work, store)
    for plan, is_written in zip(plans, written, strict=True):
        if change := plan.custody.to_keep(plan.wanted, is_written=is_written):
            await work.notes.keep(Place(work.command.npc_id, plan.kind.label), change)
    if impossible is not None:
        raise impossible


def _plans(work: _Work, blocks: Mapping[str, Block]) -> tuple[list[_Plan], PermanentError | None]:
    """Those that can be made, and why the first cannot that cannot."""
    plans: list[_Plan] = []
    impossible: PermanentError | None = None
    for kind in KINDS:
        block = blocks.get(kind.label)
        try:
            custody = work.custody(kind.label, block)
            wanted = rendered(kind, work.command, block, work.rules, custody.recalled)
        except PermanentError as error:
            impossible = impossible or error
        else:
            plans.append(_Plan(kind, block, wanted, custody))
    return plans, impossible


async def _carried_out(plans: list[_Plan], work: _Work, store: BlockStore) -> list[bool]:
    """Whether each had to be written. All have ended when this raises what went wrong with one."""
    if any(plan.block is None for plan in plans):
        return [await _write(plan, work, store) for plan in plans]
    writes = [_write(plan, work, store) for plan in plans]
    ended = await asyncio.gather(*writes, return_exceptions=True)
    errors = [error for error in ended if isinstance(error, BaseException)]
    for error in sorted(errors, key=_calls_for_another_read):
        raise error
    return [is_written is True for is_written in ended]


def _calls_for_another_read(error: BaseException) -> bool:
    return isinstance(error, (ConflictError, BlockMissingError))


def _stands_newer(work: _Work, blocks: Mapping[str, Block]) -> bool:
    """Whether the memory holds something newer. A stamp of the far future is nobody's of ours: it
    would keep every command of today's out.
    """
    stamps = [read_stamp(block.metadata) for block in _ours(blocks)]
    latest = work.now() + FAR_AHEAD
    return any(is_outdated(work.mark, s) for s in stamps if s.observed_at <= latest)


async def _mark_if_unwritten(work: _Work, store: BlockStore, blocks: Mapping[str, Block]) -> None:
    """An older command that is in another worker's hands yet must find out that it is older.

    A written block tells it; where nothing had to be written, the mark of one block is moved on.
    """
    ours = [block for block in _ours(blocks) if read_stamp(block.metadata).base is not None]
    is_written = any(kind.label in work.effort.blocks for kind in KINDS)
    if work.effort.has_rivals and not is_written and ours:
        with _in_doubt(work.effort):
            await store.change(ours[0].id, metadata=marked(ours[0].metadata, work.mark))


@contextmanager
def _in_doubt(effort: Effort) -> Iterator[None]:
    """Notes that a write was given up without an answer: it may land yet."""
    try:
        yield
    except ConflictError:
        raise
    except TemporaryError:
        effort.is_doubtful = True
        raise


async def _write(plan: _Plan, work: _Work, store: BlockStore) -> bool:
    """Whether anything had to be written."""
    kind, block, wanted, custody = plan
    noted = custody.in_transit(wanted)
    metadata = stamped(block.metadata if block else {}, noted, work.mark, custody.receipt)
    if block is not None and wanted.value == block.value:
        return await _note(plan, metadata, work, store)
    with _in_doubt(work.effort):
        if block is None:
            await _create(kind, wanted, metadata, work, store)
        else:
            await store.write(block.id, wanted.value, metadata)
    work.effort.wrote(kind.label, wanted.conflicts, is_mended=not wanted.has_settled)
    return True


async def _note(plan: _Plan, metadata: Document, work: _Work, store: BlockStore) -> bool:
    """The text stands as it shall; what we know of it may be news."""
    work.effort.met(plan.wanted.conflicts)
    if plan.wanted.is_base_news and plan.block is not None:
        with _in_doubt(work.effort):
            await store.change(plan.block.id, metadata=metadata)
    return plan.wanted.is_base_news


async def _create(
    kind: BlockKind, wanted: Rendered, metadata: Document, work: _Work, store: BlockStore
) -> None:
    layout = work.rules.layout
    told, is_locked = DESCRIPTIONS[layout][kind.label], layout is Layout.SPLIT
    await store.create(work.agent_id, kind.label, wanted.value, metadata, told, read_only=is_locked)
