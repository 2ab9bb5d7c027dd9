"""What is held of an NPC's notes outside of its blocks, and what a purge leaves of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ops.visible import visible
from streams.writer.aside import Piece
from streams.writer.document import Document
from streams.writer.notes import Custody, Kept
from streams.writer.stamp import KEY, UNSTAMPED, Stamp
from topics.text import fold

EVERYBODY = ""
"""The purge of everything."""

PURGED_BY = "purge"
_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Held:
    """Of one block: what the Table `notes` has, and what the block's metadata carries."""

    label: str
    kept: Kept = field(default_factory=Kept)
    stamp: Stamp = UNSTAMPED

    @property
    def absent(self) -> dict[str, Document]:
        """Notes on those who are not here, by id, wherever they are."""
        return self._recalled.absent

    @property
    def aside(self) -> tuple[Piece, ...]:
        """What did not fit, by number."""
        return tuple(sorted(self._recalled.aside, key=lambda piece: piece.no))

    @property
    def _recalled(self) -> Stamp:
        return Custody(self.stamp, self.kept).recalled

    def is_in_transit(self, who: str) -> bool:
        """Whether notes on somebody stand in the metadata and not in the Table yet."""
        return who in self.stamp.absent and who not in self.kept.absent

    def __bool__(self) -> bool:
        return bool(self.absent or self.aside)


def names_by_id(held: Held, known: Mapping[str, str]) -> dict[str, str]:
    """Who each of the absent is: as the game or the NPC names them; the id where nobody does."""
    return {
        who: str(known.get(who) or part.get("name") or who) for who, part in held.absent.items()
    }


def meant(held: Held, whom: str, names: Mapping[str, str]) -> set[str]:
    """Ids of those that a purge is for, by id or by name without case."""
    everybody = names_by_id(held, names)
    if whom == EVERYBODY:
        return set(everybody)
    return {who for who, name in everybody.items() if whom == who or fold(whom) == fold(name)}


def pieces_meant(held: Held, whom: str, ids: set[str]) -> tuple[Piece, ...]:
    """Pieces that a purge is for: all, or those taken from what was noted on somebody."""
    if whom == EVERYBODY:
        return held.aside
    return tuple(
        p for p in held.aside if p.where[:1] == ("members",) and p.where[1:2] in _ones(ids)
    )


def without(held: Held, ids: set[str], pieces: tuple[Piece, ...]) -> Held:
    """The same after a purge. What was given back and does not count goes too.

    Of a version above the stamp's, so that a Table that was lost or unreadable is written again.
    """
    kept, stamp = held.kept, held.stamp
    return Held(
        held.label,
        Kept(
            version=max(kept.version, stamp.table[0]) + 1,
            by=PURGED_BY,
            absent=_not_of(kept.absent, ids | {*stamp.given_back}),
            aside=_not_among(kept.aside, pieces),
        ),
        msgspec.structs.replace(
            stamp, absent=_not_of(stamp.absent, ids), aside=_not_among(stamp.aside, pieces)
        ),
    )


def metadata_without(metadata: Document, stamp: Stamp) -> Document:
    """A block's metadata with what a purge left of the stamp."""
    noted = metadata.get(KEY)
    if not isinstance(noted, dict):
        return metadata
    left = {"absent": stamp.absent, "aside": _built(stamp.aside)}
    return {**metadata, KEY: {**noted, **left}}


def as_json(held: Held, names: Mapping[str, str]) -> Document:
    """For `--json`: whole texts."""
    return {
        "absent": {
            who: {"name": name, "notes": held.absent[who], "in_transit": held.is_in_transit(who)}
            for who, name in names_by_id(held, names).items()
        },
        "aside": _built(held.aside),
    }


def lines(held: Held, names: Mapping[str, str]) -> list[str]:
    """For the terminal."""
    found = [held.label]
    for who, name in names_by_id(held, names).items():
        called = who if name == who else f"{name} ({who})"
        where = ", on its way to the Table" if held.is_in_transit(who) else ""
        found.append(f"  {_shown(called)}, absent{where}: {_shown(_text(held.absent[who]))}")
    for piece in held.aside:
        path = ".".join(piece.where) or "the block"
        found.append(f"  no. {piece.no}, from {_shown(path)}: {_shown(_text(piece.text))}")
    return found


def _built(pieces: tuple[Piece, ...]) -> list[Any]:
    return [msgspec.to_builtins(piece) for piece in pieces]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown(text: str) -> str:
    return visible(text.encode("utf-8", "backslashreplace"), _SHOWN)


def _ones(ids: set[str]) -> set[tuple[str, ...]]:
    return {(who,) for who in ids}


def _not_of(absent: Mapping[str, Document], ids: set[str]) -> dict[str, Document]:
    return {who: part for who, part in absent.items() if who not in ids}


def _not_among(pieces: tuple[Piece, ...], gone: tuple[Piece, ...]) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if piece not in gone)
