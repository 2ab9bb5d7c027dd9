"""A group document made to fit its block: what the game can say again is shortened, notes never.

In this order, each only as far as needed: the oldest lines of `updates` go, then all appearances
are cut to the same length. What still does not fit is refused with `DoesNotFitError`; nothing the
NPC wrote is ever cut.
"""

from bisect import bisect_right
from collections.abc import Mapping

from streams.writer.document import Document, render

LIMIT = 5000
"""Characters of a block by the contract; a block's own lower limit counts instead."""

ELLIPSIS = "…"


class DoesNotFitError(ValueError):
    """The NPC's own notes, or the group's bare names, are larger than the block."""


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


def checked(document: Document, limit: int) -> Document:
    """The document itself. Raises DoesNotFitError."""
    if _fits(document, limit):
        return document
    size = len(render(document))
    raise DoesNotFitError(f"needs {size} characters with all notes kept, and its limit is {limit}")


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
    members = dict(document["members"])
    for who, appearance in appearances.items():
        members[who] = {**members[who], "appearance": shortened(appearance, length)}
    return {**document, "members": members}


def _fits(document: Document, limit: int) -> bool:
    return len(render(document)) <= limit
