"""A group document made to fit its block: what the game can say again is shortened first.

In this order, each only as far as needed: the oldest lines of `updates` go, then all appearances
are cut to the same length, then what the NPC wrote is kept aside with a marker in its place (see
`aside`). Only where the bare names do not fit is the document refused with `DoesNotFitError`.
"""

from bisect import bisect_right
from collections.abc import Mapping

from streams.writer.aside import Owned, Piece, Shelf, with_room
from streams.writer.document import Document, render

LIMIT = 5000
"""Characters of a block by the contract; a block's own lower limit counts instead."""

ELLIPSIS = "…"


class DoesNotFitError(ValueError):
    """The group's bare names, or the bare status, are larger than the block."""


def limit_of(block_limit: int | None) -> int:
    """Characters that may be written: the contract's limit or the block's, whichever is less."""
    return min(LIMIT, block_limit) if block_limit and block_limit > 0 else LIMIT


def fitted(document: Document, limit: int, appearances: Mapping[str, str]) -> Document:
    """The document within `limit` characters. `appearances`: those that may be cut, by member id.

    Raises DoesNotFitError.
    """
    if _fits(document, limit):
        return document
    for lines in range(len(document["updates"]) - 1, -1, -1):
        document = {**document, "updates": document["updates"][:lines]}
        if _fits(document, limit):
            return document
    return _with_short_appearances(document, limit, appearances)


def fitted_aside(
    document: Document, limit: int, appearances: Mapping[str, str], owned: Owned, shelf: Shelf
) -> tuple[Document, tuple[Piece, ...]]:
    """The document within `limit` characters, and what had to be kept aside for it.

    Raises DoesNotFitError.
    """
    try:
        return fitted(document, limit, appearances), ()
    except DoesNotFitError:
        bare = _cut({**document, "updates": []}, appearances, 0)
        roomy, pieces = with_room(bare, limit, owned, shelf)
        whole = _with_appearances({**roomy, "updates": document["updates"]}, appearances)
        return fitted(whole, limit, appearances), pieces


def checked_aside(
    document: Document, limit: int, owned: Owned, shelf: Shelf
) -> tuple[Document, tuple[Piece, ...]]:
    """The same for a document of which nothing of the game's can be shortened."""
    roomy, pieces = with_room(document, limit, owned, shelf)
    return checked(roomy, limit), pieces


def checked(document: Document, limit: int) -> Document:
    """The document itself. Raises DoesNotFitError."""
    if _fits(document, limit):
        return document
    size = len(render(document))
    raise DoesNotFitError(f"needs {size} characters at the least, and its limit is {limit}")


def shortened(text: str, length: int) -> str:
    """A text cut to `length` characters, the last of them an ellipsis."""
    if len(text) <= length:
        return text
    return text[: length - 1] + ELLIPSIS if length > 0 else ""


def _with_short_appearances(
    document: Document, limit: int, appearances: Mapping[str, str]
) -> Document:
    longest = max(map(len, appearances.values()), default=0)
    # The size grows with the length, so the first length too many is found by halving.
    too_long = bisect_right(
        range(longest + 1),
        False,
        key=lambda length: not _fits(_cut(document, appearances, length), limit),
    )
    return checked(_cut(document, appearances, max(too_long - 1, 0)), limit)


def _cut(document: Document, appearances: Mapping[str, str], length: int) -> Document:
    cut = {who: shortened(appearance, length) for who, appearance in appearances.items()}
    return _with_appearances(document, cut)


def _with_appearances(document: Document, appearances: Mapping[str, str]) -> Document:
    members = dict(document["members"])
    for who, appearance in appearances.items():
        members[who] = {**members[who], "appearance": appearance}
    return {**document, "members": members}


def _fits(document: Document, limit: int) -> bool:
    return len(render(document)) <= limit
