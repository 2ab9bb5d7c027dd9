"""A store that tells nobody anything, and remembers every write: what it went by, and when.

Whatever else the store it watches can do goes through untouched.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from streams.writer.document import read
from streams.writer.members import MEMBERS, crowd_of
from streams.writer.reconcile import GROUP, STATUS
from streams.writer.stamp import KEY, read_stamp
from streams.writer.store import Block, BlockStore, ConflictError, OnCall
from tests.npc.ledger import Write


class _Sight(NamedTuple):
    """A block as it was last read."""

    npc_id: str
    block: Block
    began: float
    answered: float


@dataclass(slots=True)
class Testimony:
    """All that was seen. `reverted`: writes of ours that somebody put back to what was before."""

    npc_of: dict[str, str] = field(default_factory=dict)
    """NPC by agent."""
    writes: list[Write] = field(default_factory=list)
    reverted: set[tuple[str, str]] = field(default_factory=set)
    conflicts: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """Requests by operation and status."""
    _sights: dict[str, _Sight] = field(default_factory=dict)

    def saw(self, agent_id: str, blocks: Sequence[Block], began: float, answered: float) -> None:
        """A read was answered."""
        for block in blocks:
            self._sights[block.id] = _Sight(self.npc_of[agent_id], block, began, answered)
            if is_reverted(block):
                self.reverted.add((block.id, read_stamp(block.metadata).hash))

    def wrote(
        self, block_id: str, value: str, metadata: dict[str, Any], sent: float, answered: float
    ) -> None:
        """A write was answered."""
        seen = self._sights[block_id]
        written = text_of(value, metadata)
        known = text_of(seen.block.value, seen.block.metadata)
        times = (seen.began, seen.answered, sent, answered)
        self.writes.append(Write(seen.npc_id, seen.block.label, *times, known, written))

    def count_call(self, operation: str, status: str, _: float) -> None:
        """One request more."""
        self.calls[f"{operation} {status}"] += 1


@dataclass(frozen=True, slots=True)
class WitnessedStore:
    """The store the writer gets."""

    inner: Any
    seen: Testimony

    async def read(self, agent_id: str) -> dict[str, Block]:
        began = _clock()
        blocks: dict[str, Block] = await self.inner.read(agent_id)
        self.seen.saw(agent_id, list(blocks.values()), began, _clock())
        return blocks

    async def write(self, block_id: str, value: str, metadata: dict[str, Any]) -> None:
        sent = _clock()
        try:
            await self.inner.write(block_id, value, metadata)
        except ConflictError:
            self.seen.conflicts += 1
            raise
        self.seen.wrote(block_id, value, metadata, sent, _clock())

    def observed_by(self, on_call: OnCall) -> "WitnessedStore":
        return replace(self, inner=self.inner.observed_by(on_call))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def witnessed(store: BlockStore, seen: Testimony) -> WitnessedStore:
    """The same store under observation."""
    return WitnessedStore(store.observed_by(seen.count_call), seen)


def text_of(value: str, metadata: dict[str, Any]) -> str:
    """All that is kept of a block, to look for notes in; copies in the stamp do not count."""
    stamp = metadata.get(KEY)
    if isinstance(stamp, dict):
        metadata = {**metadata, KEY: {k: v for k, v in stamp.items() if k != "own"}}
    return f"{value}\n{json.dumps(metadata, ensure_ascii=False)}"


def is_reverted(block: Block) -> bool:
    """Whether the game's part is not what the stamp, which survives, says we wrote."""
    base = read_stamp(block.metadata).base
    if base is None:
        return False
    document = read(block.value).document
    if block.label == GROUP.label:
        written = {row[0] for row in base[MEMBERS]}
        return written != set(crowd_of(document).members)
    if block.label == STATUS.label:
        return any(document.get(name) != text for name, text in base.items())
    return False


def _clock() -> float:
    return asyncio.get_running_loop().time()
