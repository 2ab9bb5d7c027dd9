"""A memory block's text read as one JSON object, and written back: nothing found is ever dropped.

An NPC edits its blocks through tools that know nothing of JSON: they append lines, insert lines
before, or replace a piece and break it. What becomes of a text:

    found in the block                         read as
    -----------------------------------------  ---------------------------------------------------
    nothing, or white space                    an empty document
    a JSON object                              itself
    lines before, text after a JSON object     the object; the text joins `unsorted_notes`
    a field written twice in one object        the last under its name, the others as `name (2)`
    anything else: prose, a list, broken JSON  `unsorted_notes`, the whole text as one note
    JSON that could not be written again       `unsorted_notes`: a number beyond 64 bits or beyond
                                               any float, half a surrogate pair, 32 levels or more
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any

import orjson

Document = dict[str, Any]
"""A JSON object as Python reads it. Never changed in place once it has been read."""

UNSORTED = "unsorted_notes"
"""The field for text of the NPC's that fits nowhere else: a list, oldest first."""

DEPTH_LIMIT = 32
"""Levels of a document. Letta cannot read back a block whose metadata nests some 250 levels deep,
and what an NPC wrote about a player may have to stay in the metadata for a while."""

_LINE_WITH_OBJECT = re.compile(r"\n\{")
_STARTS_TRIED = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """A block's text, read. `exact`: the text was nothing but this one JSON object."""

    document: Document
    exact: bool


def read(text: str) -> Reading:
    """The document that a block's text stands for; the rules stand above. Never fails."""
    text = text.strip()
    if not text:
        return Reading({}, exact=False)
    for start in _object_starts(text):
        found = _object_at(text, start)
        if found is not None:
            return _with_text_around(text, start, *found)
    return Reading({UNSORTED: [text]}, exact=False)


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
    for note in (text[:start].strip(), text[end:].strip()):
        document = with_note(document, note) if note else document
    return Reading(document, exact=start == 0 and end == len(text))


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
