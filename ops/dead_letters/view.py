"""Dead letters as people and as programs read them. Pure; what is foreign goes through `visible`.

A JSON value stands in JSON output as text where it is UTF-8 (`value`), else in base64
(`value_base64`); both null for a record without a value. The same for keys.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ops.dead_letters.letter import Letter, LetterId, Mark, Told
from ops.moment import iso
from ops.visible import pretty, visible

_KEY_SHOWN = 60
_HEADER_SHOWN = 600

Marks = Mapping[LetterId, Mark]


def table(letters: Iterable[Letter], marks: Marks) -> Table:
    """One row a letter."""
    table = Table(box=None)
    for name in ("id", "failed at", "stage"):
        table.add_column(name, no_wrap=True)
    for name in ("from", "key", "error", "requeued"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        table.add_row(*map(Text, _row(letter, marks.get(letter.id))))
    return table


def _row(letter: Letter, mark: Mark | None) -> list[str]:
    return [
        str(letter.id),
        iso(letter.at),
        letter.why.stage or "?",
        source(letter),
        shown_key(letter),
        letter.why.error or "?",
        "yes" if mark else "",
    ]


def source(letter: Letter) -> str:
    """Where the record stood: topic/partition/offset."""
    why = letter.why
    numbers = ("?" if number is None else str(number) for number in (why.partition, why.offset))
    return "/".join((why.topic or "?", *numbers))


def shown_key(letter: Letter) -> str:
    """The record's key for a terminal."""
    return "(none)" if letter.key is None else visible(letter.key, _KEY_SHOWN)


def page(letter: Letter, mark: Mark | None, limit: int | None) -> Iterator[Text]:
    """Everything about a letter, a line each; of the value at most `limit` characters."""
    lines = [
        ("dead letter", str(letter.id)),
        ("failed at", iso(letter.at)),
        ("stage", letter.why.stage or "?"),
        ("error", letter.why.error or "?"),
        ("from", source(letter)),
        ("key", shown_key(letter)),
        ("requeued", _requeued(mark)),
        *_foreign_headers(letter),
        ("value", "(null)" if letter.value is None else f"{letter.size:,} bytes"),
    ]
    for name, text in lines:
        yield Text.assemble((f"{name:<12}", "bold"), text)
    if letter.value:
        yield Text(visible(pretty(letter.value), limit, lines=True))


def _requeued(mark: Mark | None) -> str:
    if mark is None:
        return "no"
    edited = ", edited" if mark.edited else ""
    return f"{iso(mark.at)} to {visible(mark.to.encode(), _HEADER_SHOWN)}{edited}"


def _foreign_headers(letter: Letter) -> Iterator[tuple[str, str]]:
    ours = {"stage", "error", "topic", "partition", "offset", "failed-at"}
    for name, value in letter.headers:
        if name.removeprefix("rollcall-") not in ours:
            label = visible(name.encode(errors="replace"), _KEY_SHOWN)
            yield "header", f"{label} = {visible(value or b'', _HEADER_SHOWN)}"


def as_json(letter: Letter, mark: Mark | None, *, whole: bool = False) -> dict[str, Any]:
    """A letter for programs; its value and all headers only if `whole`."""
    why = letter.why
    found: dict[str, Any] = {
        "id": str(letter.id),
        "stage": why.stage,
        "error": why.error,
        "topic": why.topic,
        "partition": why.partition,
        "offset": why.offset,
        "failed_at": letter.at,
        **_bytes("key", letter.key),
        "bytes": letter.size,
        "requeued_at": mark.at if mark else None,
        "requeued_to": mark.to if mark else None,
    }
    if whole:
        found |= _bytes("value", letter.value)
        found["headers"] = [[name, _text(value)] for name, value in letter.headers]
    return found


def _bytes(name: str, value: bytes | None) -> dict[str, str | None]:
    text = _text(value)
    encoded = base64.b64encode(value).decode() if value is not None and text is None else None
    return {name: text, f"{name}_base64": encoded}


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def told(one: Told) -> str:
    """A letter's fate in a line."""
    details = visible(one.details.encode(errors="replace"), _HEADER_SHOWN)
    return f"{one.letter.id} {one.fate}: {details} (key {shown_key(one.letter)})"
