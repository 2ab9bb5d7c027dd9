"""What became of each note that an NPC wrote, told from what was seen on both sides. Pure.

    the note                                                          its fate
    ----------------------------------------------------------------  ------------------------------
    is in the memory in the end                                       KEPT
    is not, and the tool said so                                      REFUSED
    the writer read it once, and wrote the block without it           DROPPED: a fault of the merge
    the writer knew it; a tool that held an older memory when the     REVERTED: Letta's tools write
    writer wrote the block wrote that back                            back all blocks they hold
    nobody saw it; it may have been made between the beginning of a   IN_WINDOW
    read by the writer and the answer to the write that followed
    nobody saw it; another edit of the NPC was made at the same time  OVERRUN: the same among tools
    none of these                                                     LOST

Times are seconds of one clock. The first that fits counts, so that the writer takes the blame
before Letta's tools do.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Fate(StrEnum):
    """The table stands above."""

    KEPT = "kept"
    REFUSED = "refused"
    DROPPED = "dropped by the merge"
    REVERTED = "reverted by a tool"
    IN_WINDOW = "in the window"
    OVERRUN = "overrun by another edit"
    LOST = "lost"


class Edit(NamedTuple):
    """A note that an NPC made through one of Letta's tools."""

    number: int
    npc_id: str
    label: str
    how: str
    held_from: float
    """When the memory was loaded that the tool wrote back: before `began` in a whole step."""
    began: float
    ended: float
    is_refused: bool = False
    saw: str = ""
    """What the tool answered: of the memory tools, the value of the whole block."""

    @property
    def note(self) -> str:
        """The text that must not get lost."""
        return note(self.number)


class Write(NamedTuple):
    """A block that the writer wrote, with the read it went by. Texts: value and metadata."""

    npc_id: str
    label: str
    read_began: float
    read_answered: float
    sent: float
    answered: float
    read: str
    written: str


def note(number: int) -> str:
    """Found in a memory by its brackets, so that 1 is not taken for 17."""
    return f"<note {number}>"


def fate(edit: Edit, memory: str, writes: Iterable[Write], edits: Sequence[Edit]) -> Fate:
    """What became of a note. `memory`: all that is kept of the NPC in the end."""
    if edit.note in memory:
        return Fate.KEPT
    if edit.is_refused:
        return Fate.REFUSED
    of_block = [w for w in writes if (w.npc_id, w.label) == (edit.npc_id, edit.label)]
    others = [other for other in edits if _is_another_of(edit, other)]
    if any(edit.note in write.read for write in of_block):
        return _fate_of_a_known_one(edit, of_block, others)
    if any(_overlap(w.read_began, w.answered, edit.began, edit.ended) for w in of_block):
        return Fate.IN_WINDOW
    is_overrun = any(_overlap(o.held_from, o.ended, edit.began, edit.ended) for o in others)
    return Fate.OVERRUN if is_overrun else Fate.LOST


def fates(
    edits: Sequence[Edit], memories: dict[str, str], writes: Sequence[Write]
) -> dict[int, Fate]:
    """By the number of each note. `memories`: by NPC."""
    return {edit.number: fate(edit, memories[edit.npc_id], writes, edits) for edit in edits}


def _fate_of_a_known_one(edit: Edit, writes: Sequence[Write], others: Sequence[Edit]) -> Fate:
    if any(edit.note in write.read and edit.note not in write.written for write in writes):
        return Fate.DROPPED
    last = max((w for w in writes if edit.note in w.written), key=lambda write: write.answered)
    is_reverted = any(_overlap(o.held_from, o.ended, last.sent, last.answered) for o in others)
    return Fate.REVERTED if is_reverted else Fate.LOST


def _is_another_of(edit: Edit, other: Edit) -> bool:
    """An edit of the same NPC that did not have this note in its hands."""
    is_known = other.label == edit.label and edit.note in other.saw
    return other.npc_id == edit.npc_id and other.number != edit.number and not is_known


def _overlap(began: float, ended: float, other_began: float, other_ended: float) -> bool:
    return began <= other_ended and other_began <= ended
