"""A memory block's text read as one JSON object, and written back: nothing found is ever dropped.

An NPC edits its blocks through tools that know nothing of JSON: they append lines, insert lines
before, or replace a piece and break it. What becomes of a text:

    found in the block                         read as
    -----------------------------------------  ---------------------------------------------------
    nothing, or white space                    an empty document
    a JSON object                              itself
    lines before, text after a JSON object     the object; the text joins `unsorted_notes`
    the object in a code fence                 the object; the fence goes
    nearly a JSON object: Python's repr, line  the object, as `mending` spells it; lines between
    numbers, lines between its fields          its fields join `unsorted_notes`
    a field written twice in one object        the last under its name, the others as `name (2)`
    anything else: prose, a list, broken JSON  `unsorted_notes`, the whole text as one note
    JSON that could not be written again       `unsorted_notes`: a number beyond 64 bits or beyond
                                               any float, half a surrogate pair, 32 levels or more
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isfinite
from typing import Any

import orjson

from streams.writer.mending import (
    Spelled,
    requoted,
    spelled,
    without_line_numbers,
    without_odd_lines,
)

Document = dict[str, Any]
"""A JSON object as Python reads it. Never changed in place once it has been read."""

UNSORTED = "unsorted_notes"
"""The field for text of the NPC's that fits nowhere else: a list, oldest first."""

DEPTH_LIMIT = 32
"""Levels of a document. Letta cannot read back a block whose metadata nests some 250 levels deep,
and what an NPC wrote about a player may have to stay in the metadata for a while."""

_LINE_WITH_OBJECT = re.compile(r"\n\{")
_STARTS_TRIED = 5
_OPENING_FENCE = re.compile(r"(?:^|\n)```[\w-]*$")
_CLOSING_FENCE = re.compile(r"^```(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Reading:
    """A block's text, read. `exact`: the text was nothing but this one JSON object."""

    document: Document
    exact: bool


def read(text: str, game_fields: Collection[str] = ()) -> Reading:
    """The document that a block's text stands for; the rules stand above. Never fails.

    `game_fields`: names of fields in which a string that had to be mended is taken for a break of
    the text and not for their value; the game would write over what an NPC put there.
    """
    text = text.strip()
    if not text:
        return Reading({}, exact=False)
    mended = partial(_as_spelled, game_fields=game_fields)
    ways = (_as_it_is, mended, _without_odd_lines, _without_line_numbers)
    readings = filter(None, (way(text) for way in ways))
    return next(readings, Reading({UNSORTED: [text]}, exact=False))


def render(document: Document) -> str:
    """The document as compact JSON: the same document gives the same text, in the same order."""
    return orjson.dumps(document).decode()


def with_note(document: Document, note: object) -> Document:
    """The document with one more unsorted note; a note it has already is not added again."""
    kept = document.get(UNSORTED, [])
    notes = list(kept) if isinstance(kept, list) else [kept]
    return document if is_among(note, notes) else {**document, UNSORTED: [*notes, note]}


def is_among(value: object, values: Iterable[object]) -> bool:
    """Whether this very value is there: to Python `True` equals `1`, in JSON it does not."""
    written = orjson.dumps(value)
    return any(written == orjson.dumps(other) for other in values)


def free_name(fields: Document, name: str) -> str:
    """`name`, or `name (2)` and so on where the document has it already."""
    candidate, count = name, 1
    while candidate in fields:
        count += 1
        candidate = f"{name} ({count})"
    return candidate


def _as_it_is(text: str) -> Reading | None:
    for start in _object_starts(text):
        found = _object_at(text, start)
        if found is not None:
            return _with_text_around(text, start, *found)
    return None


def _as_spelled(text: str, game_fields: Collection[str] = ()) -> Reading | None:
    readings = (_respelled(text, spell, game_fields) for spell in (spelled, requoted))
    return next(filter(None, readings), None)


def _respelled(
    text: str, spell: Callable[[str], Spelled | None], game_fields: Collection[str]
) -> Reading | None:
    for start in _object_starts(text):
        mended = spell(text[start:])
        found = _object_at(mended.text, 0) if mended else None
        if mended is None or found is None or found[1] < len(mended.text):
            continue
        if not _is_broken_in(game_fields, found[0], mended.odd):
            return _inexact(_with_text_around(text, start, found[0], start + mended.end))
    return None


def _is_broken_in(
    game_fields: Collection[str], value: object, odd: Collection[str], name: str = ""
) -> bool:
    """Whether an odd string is the name of a field, or stands in a field of the game's."""
    if isinstance(value, str):
        return name in game_fields and value in odd
    if isinstance(value, list):
        return any(_is_broken_in(game_fields, item, odd, name) for item in value)
    if isinstance(value, dict):
        return any(
            key in odd or _is_broken_in(game_fields, item, odd, key) for key, item in value.items()
        )
    return False


def _without_odd_lines(text: str) -> Reading | None:
    mended = without_odd_lines(text) if text[0] == "{" else None
    reading = _as_it_is(mended[0]) if mended else None
    if not mended or not reading:
        return None
    return Reading(with_note(reading.document, mended[1]), exact=False)


def _without_line_numbers(text: str) -> Reading | None:
    bare = (without_line_numbers(text) or "").strip()
    reading = (_as_it_is(bare) or _as_spelled(bare)) if bare else None
    return _inexact(reading) if reading else None


def _inexact(reading: Reading) -> Reading:
    return Reading(reading.document, exact=False)


def _object_starts(text: str) -> list[int]:
    # An object inside of broken JSON is no document: only what begins a line is tried.
    if text[0] == "{":
        return [0]
    if _is_json(text):
        return []
    starts = (found.end() - 1 for found in _LINE_WITH_OBJECT.finditer(text))
    return list(islice(starts, _STARTS_TRIED))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _object_at(text: str, start: int) -> tuple[Document, int] | None:
    try:
        found, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    is_usable = (found or start == 0) and _is_writable(found)
    return (found, end) if is_usable else None


def _with_text_around(text: str, start: int, found: Document, end: int) -> Reading:
    document = found
    for note in _text_around(text[:start].strip(), text[end:].strip()):
        document = with_note(document, note) if note else document
    return Reading(document, exact=start == 0 and end == len(text))


def _text_around(before: str, after: str) -> tuple[str, str]:
    """The text before and after, without the fence around the object."""
    opening = _OPENING_FENCE.search(before)
    if opening is None:
        return before, after
    return before[: opening.start()].strip(), _CLOSING_FENCE.sub("", after).strip()


def _is_writable(found: Document) -> bool:
    try:
        orjson.dumps(found)
    except TypeError:
        return False
    return _fits_depth(found, DEPTH_LIMIT)


def _fits_depth(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_fits_depth(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_fits_depth(item, levels - 1) for item in value)
    return True


def _all_fields(pairs: list[tuple[str, Any]]) -> Document:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    kept: Document = {}
    for name, value in reversed(pairs):
        kept[free_name(kept, name)] = value
    return dict(reversed(kept.items()))


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number beyond any float would be written as null")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_all_fields, parse_float=_finite, parse_constant=_finite
)
