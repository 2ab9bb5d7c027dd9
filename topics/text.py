"""Text that players and game developers wrote, made safe to store and to show to a language model.

`clean` is the one rule for names, actions, places and descriptions:

    line breaks, tabs and every other white space   one plain space, none at the ends
    control and format characters                   dropped: bidi overrides, zero width, tag letters
    joiners inside a word (ZWJ, ZWNJ)               kept: emoji and Persian need them
    composed and decomposed letters                 composed (NFC), so that equal names are equal
    anything beyond the limit                       cut

It is idempotent, never longer than its limit, and never fails.
"""

import unicodedata
from functools import lru_cache

ID_LIMIT = 200
"""Characters of an id or slug. Longer ids are refused, never cut: two could become one."""

NAME_LIMIT = 100
"""Characters of a name."""

ACTION_LIMIT = 200
"""Characters of what an NPC is doing."""

LOCATION_LIMIT = ID_LIMIT
"""Characters of a snapshot's location: a slug must fit."""

DESCRIPTION_LIMIT = 1000
"""Characters of an appearance or a place's description: five of them still fit a memory block."""

_JOINERS = "\u200c\u200d"
_ENDS = " " + _JOINERS
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})
# Tag letters and spare variation selectors: nobody sees them, a language model reads them.
_HIDING = ("\U000e0000", "\U000e0fff")
_READ_AHEAD = 8
_FOLDED = 8192
"""Names whose folded form is remembered: a snapshot tells each several times."""


def clean(text: str, limit: int) -> str:
    """The text as one line of at most `limit` visible characters; the rules stand above."""
    if len(text) <= limit and text.isprintable():  # the hot path: most are short, plain and tidy
        if text.isascii():
            if not (" " in text and (text[0] == " " or text[-1] == " " or "  " in text)):
                return text
        elif _is_visible(text) and _is_tidy(text):
            return text
    return _cleaned(text, limit)


@lru_cache(maxsize=_FOLDED)
def fold(name: str) -> str:
    """The form in which two names are compared: cleaned, without case."""
    if name.isascii() and len(name) <= NAME_LIMIT and name.isprintable() and _is_tidy(name):
        return name.lower()
    return unicodedata.normalize("NFC", clean(name, NAME_LIMIT).casefold())


def clip(text: str, limit: int) -> str:
    """Foreign text for an error message: cleaned, and with an ellipsis where it was cut."""
    cleaned = clean(text, limit + 1)
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def is_plain(text: str) -> bool:
    """Whether a text could be an id: no control or format characters, no space at the ends."""
    if _is_visible(text):
        return text[:1] != " " and text[-1:] != " "
    return all(_is_kept(char) and (char == " " or not char.isspace()) for char in text) and (
        text == text.strip(_ENDS)
    )


def _is_visible(text: str) -> bool:
    # Python holds variation selectors for printable, hence the second half.
    return text.isprintable() and (text.isascii() or max(text) < _HIDING[0])


def _is_tidy(text: str) -> bool:
    # Most names are short plain ASCII; this is the hot path of the filter.
    spaced = " " in text and (text[0] == " " or text[-1] == " " or "  " in text)
    return not spaced and (text.isascii() or unicodedata.is_normalized("NFC", text))


def _cleaned(text: str, limit: int) -> str:
    # Cut before looking at single characters, so that a text of a megabyte costs little.
    ahead = " ".join(text.split())[: limit * _READ_AHEAD]
    kept = "".join(filter(_is_kept, ahead))
    composed = unicodedata.normalize("NFC", " ".join(kept.split()))
    return composed.strip(_ENDS)[:limit].rstrip(_ENDS)


def _is_kept(char: str) -> bool:
    if char in _JOINERS:
        return True
    hides = _HIDING[0] <= char <= _HIDING[1]
    return not hides and unicodedata.category(char) not in _DROPPED_CATEGORIES
