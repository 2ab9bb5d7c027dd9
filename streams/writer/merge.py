"""Who owns what in a memory block, and how two accounts of the same thing become one.

    field                                        owner  on a write
    -------------------------------------------  -----  --------------------------------------------
    group_members: summary, last_updated         game   rendered anew
    group_members: updates                       game   new lines first, what stood there after them
    members: who stands there                    game   from the command
    members.*: name                              game   from the command
    members.*: appearance                        game   from the command, unless empty or "Unknown":
                                                        these never overwrite a real one
    members.*: notes, any other field            NPC    kept as they are
    members: an entry the NPC made up            NPC    kept as it is; once the game names somebody
                                                        so, its fields move to the real entry
    members: an entry of ours, not there now     both   leaves; the NPC's part waits in the metadata
    status: current_location, current_action,    game   from the command, and from what stood there
            previous_location, movement_state           before
    every other field, at any depth              NPC    kept as it is

An entry is ours when the block's stamp says that we wrote it. In a block without our stamp it is
taken for one of an earlier integration of the game when it is plain text or has `name` and
`appearance`; such an entry waits in the metadata as a whole, since nobody knows who wrote it.

A field of the game's that somebody else changed since our last write is a `Conflict`: the game's
value stays, and the result of the command reports it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from streams.writer.aside import Piece
from streams.writer.document import Document, free_name, is_among
from topics.models import Conflict
from topics.text import fold

_EMPTY: tuple[object, ...] = ("", None, [], {})


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a block shall hold. `value` is the observed text itself where nothing has to change."""

    value: str
    base: Document
    """The game's part of `value`: what the next merge compares with."""
    conflicts: tuple[Conflict, ...] = ()
    absent: dict[str, Document] = field(default_factory=dict)
    """What the NPC wrote about those who are not here, by id."""
    aside: tuple[Piece, ...] = ()
    """What does not fit into the block, now and before, oldest first."""
    given_back: tuple[str, ...] = ()
    """Ids whose notes in the Table `notes` do not count any more; see `notes`."""
    gone: tuple[str, ...] = ()
    """Ids that we wrote once and that left, newest last."""


def npc_part(entry: Document, game_fields: Collection[str]) -> Document:
    """The fields of an entry that are the NPC's, in the NPC's order."""
    return {name: value for name, value in entry.items() if name not in game_fields}


def says_something(part: Document) -> bool:
    """Whether any field holds more than nothing."""
    return any(value not in _EMPTY for value in part.values())


def united(accounts: Iterable[Document]) -> Document:
    """All fields of several accounts of the same person. Of two texts that differ both stay, one
    below the other; of other values the later one under a free name.
    """
    whole: Document = {}
    for account in accounts:
        for name, value in account.items():
            whole = _with_field(whole, name, value)
    return whole


def is_real(appearance: object) -> bool:
    """Whether this says anything about how somebody looks."""
    return isinstance(appearance, str) and fold(appearance) not in ("", "unknown")


def conflict_over(path: str, base: object, ours: object, theirs: object) -> list[Conflict]:
    """The conflict, if there is one: somebody changed a field of ours, and to something else."""
    if theirs in (base, ours):
        return []
    return [Conflict(path=path, base=base, ours=ours, theirs=theirs, kept=ours)]


def _with_field(whole: Document, name: str, value: object) -> Document:
    present = whole.get(name)
    if name not in whole or present in _EMPTY:
        return {**whole, name: value}
    if isinstance(present, str) and isinstance(value, str):
        return {**whole, name: _both_texts(present, value)}
    is_known = value in _EMPTY or is_among(value, _variants(whole, name))
    return whole if is_known else {**whole, free_name(whole, name): value}


def _both_texts(first: str, second: str) -> str:
    if second in first:
        return first
    return second if first in second else f"{first}\n{second}"


def _variants(whole: Document, name: str) -> list[object]:
    return [value for key, value in whole.items() if key == name or key.startswith(f"{name} (")]
