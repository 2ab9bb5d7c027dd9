"""What an agent's write-back took from an NPC's own part of a block, put back from the stamp. Pure.

A write-back makes a block as old as the agent's run: what the NPC noted since, through another tool
or on a player who came back meanwhile, is not there any more, and nobody meant to delete it. It is
told by its game part, older than our last write's (`blame`), or by its text, which is one that an
earlier write of ours replaced (`stamp`). The stamp holds the NPC's part as we wrote it last; the
two accounts are united, so that nothing of either is lost. What the NPC itself shortened in that
very run comes back with it.
"""

from collections.abc import Collection

from streams.writer.document import UNSORTED, Document, with_note
from streams.writer.merge import npc_part, says_something, united


def own_part(document: Document, game_fields: Collection[str]) -> Document:
    """The NPC's part of a block, for the stamp: only what says something."""
    return _telling(npc_part(document, game_fields))


def own_members(members: Document, game_fields: Collection[str]) -> dict[str, Document]:
    """The NPC's part of each member, of those who have one."""
    parts = {
        who: _telling(npc_part(entry, game_fields))
        for who, entry in members.items()
        if isinstance(entry, dict)
    }
    return {who: part for who, part in parts.items() if part}


def documents_in(noted: object) -> dict[str, Document]:
    """The documents by id that a stamp holds; anybody may have damaged it."""
    members = noted if isinstance(noted, dict) else {}
    return {str(who): part for who, part in members.items() if isinstance(part, dict)}


def recalled(found: Document, own: Document) -> Document:
    """The fields found, and what the NPC had there when we wrote last."""
    whole = united([found, {name: value for name, value in own.items() if name != UNSORTED}])
    notes = own.get(UNSORTED, [])
    for note in notes if isinstance(notes, list) else [notes]:
        whole = with_note(whole, note)
    return whole


def recalled_members(
    found: Document, own: dict[str, Document], ours: Collection[str]
) -> tuple[Document, dict[str, Document]]:
    """The members found with those the NPC made up, and what waits for the game's own by id.

    `ours`: ids the game has named; their notes join them where they stand now, or wait for them.
    """
    made_up = {who: part for who, part in own.items() if who not in ours}
    waiting = {who: part for who, part in own.items() if who in ours}
    return {**made_up, **found}, waiting


def _telling(part: Document) -> Document:
    return {name: value for name, value in part.items() if says_something({name: value})}
