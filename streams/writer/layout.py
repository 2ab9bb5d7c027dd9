"""Where the NPC's own notes live, and what that makes of its blocks.

    layout  group_members, status                          group_notes
    ------  ---------------------------------------------  --------------------------------------
    shared  the game's facts and the NPC's notes           not there
    split   the game's facts; read only for the NPC's      the NPC's: made once where it is
            tools                                          missing, and never written again

In split nothing of ours ever stands between an NPC's read and its write of a note. An agent that
was in shared before is locked first and read again after, so that nothing it wrote until then is
missed; what of it stands in the game's blocks stays there, as in shared, until it is moved
(`rollcall layout migrate`).
"""

from collections.abc import Mapping

from streams.settings import Layout
from streams.writer import group, status
from streams.writer.outcome import Effort
from streams.writer.store import Block, BlockStore

NOTES = "group_notes"
FACTS = (group.LABEL, status.LABEL)
"""The blocks that the game writes to."""

DESCRIPTIONS: dict[Layout, dict[str, str]] = {
    Layout.SHARED: {
        group.LABEL: "Who stands with you right now, kept up to date by the game. Your own notes"
        " about somebody belong into the `notes` of their entry; they come back whenever that"
        " person does.",
        status.LABEL: "Where you are and what you are doing, kept up to date by the game."
        " You may add fields of your own.",
    },
    Layout.SPLIT: {
        group.LABEL: "Who stands with you right now, kept up to date by the game. You cannot edit"
        " this block: keep your notes about people in `group_notes`.",
        status.LABEL: "Where you are and what you are doing, kept up to date by the game. You"
        " cannot edit this block: keep your own notes in `group_notes`.",
        NOTES: "Your own notes about the people you meet, by their name or their id in"
        " `group_members`, and about yourself. Nobody but you writes here.",
    },
}
"""Told to the NPC with each block that we make."""


async def arrange(
    layout: Layout,
    agent_id: str,
    store: BlockStore,
    blocks: Mapping[str, Block],
    effort: Effort,
) -> bool:
    """Makes `group_notes` and locks the game's blocks where the layout wants that.

    True: the blocks were open until now, and what was read of them may be old. Raises StoreError;
    ConflictError when somebody else has just made `group_notes`.
    """
    if layout is Layout.SHARED:
        return False
    if NOTES not in blocks:
        await store.create(agent_id, NOTES, "", {}, DESCRIPTIONS[layout][NOTES])
        effort.wrote(NOTES, ())
    still_open = [blocks[label] for label in FACTS if is_open(blocks.get(label))]
    for block in still_open:
        await store.change(block.id, read_only=True, description=retold(block, layout))
    return bool(still_open)


def is_open(block: Block | None) -> bool:
    """Whether there is such a block, and the NPC's tools can edit it."""
    return block is not None and not block.read_only


def retold(block: Block, layout: Layout) -> str | None:
    """The description for another layout; None where it is right, or not one of ours."""
    told = DESCRIPTIONS[layout].get(block.label)
    ours = {texts.get(block.label) for texts in DESCRIPTIONS.values()}
    return told if block.description in ours - {told, None} else None
