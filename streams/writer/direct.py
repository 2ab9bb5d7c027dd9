"""The integration without any of this, to measure against: `ROLLCALL_MODE=direct`.

Four requests a command, as the game's first integration made them: each block read by its label,
each written by its label, whether it changed or not. No fence, no second look at a conflict. What
it writes is rendered by the same rules, so no note is lost that a slower request does not lose.
It knows the shared layout alone, whatever ROLLCALL_LAYOUT says.
"""

from collections.abc import Callable
from typing import Protocol

from streams.settings import Layout
from streams.writer.document import Document
from streams.writer.layout import DESCRIPTIONS
from streams.writer.outcome import Effort, outcome_of, result
from streams.writer.reconcile import KINDS, BlockKind, rendered
from streams.writer.stamp import mark_of, stamped
from streams.writer.store import Block, BlockMissingError, BlockStore
from topics.models import UpdateCommand, UpdateResult


class LabelledStore(BlockStore, Protocol):
    """A store that also finds a block by agent and label."""

    async def read_by_label(self, agent_id: str, label: str) -> Block:
        """One block; one request. Raises BlockMissingError."""
        ...

    async def write_by_label(
        self, agent_id: str, label: str, value: str, metadata: Document
    ) -> None:
        """Replaces value and metadata; one request."""
        ...


async def overwrite(
    command: UpdateCommand,
    agent_id: str,
    store: LabelledStore,
    now: Callable[[], float],
    effort: Effort | None = None,
) -> UpdateResult:
    """Writes both blocks, whatever they hold. In the place of `reconcile`."""
    effort = effort or Effort(attempts=1)
    store = store.observed_by(effort.count_call)
    blocks = [await _read(store, agent_id, kind) for kind in KINDS]
    for kind, block in zip(KINDS, blocks, strict=True):
        await _write(store, agent_id, kind, block, command)
        effort.wrote(kind.label, ())
    return result(command, outcome_of(command, effort), effort, now())


async def _read(store: LabelledStore, agent_id: str, kind: BlockKind) -> Block | None:
    try:
        return await store.read_by_label(agent_id, kind.label)
    except BlockMissingError:
        return None


async def _write(
    store: LabelledStore,
    agent_id: str,
    kind: BlockKind,
    block: Block | None,
    command: UpdateCommand,
) -> None:
    wanted = rendered(kind, command, block)
    if block is None:
        metadata = stamped({}, wanted, mark_of(command))
        told = DESCRIPTIONS[Layout.SHARED][kind.label]
        await store.create(agent_id, kind.label, wanted.value, metadata, told)
        return
    metadata = stamped(block.metadata, wanted, mark_of(command))
    await store.write_by_label(agent_id, kind.label, wanted.value, metadata)
