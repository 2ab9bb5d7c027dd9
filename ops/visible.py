"""Foreign bytes for a terminal: bounded, and nothing in them acts on it. Pure.

Whatever does not print (escape sequences, line ends, bidi overrides, invisible characters) shows as
`\\x1b` or `\\u202e`, and bytes that are no UTF-8 as `\\xff`.
"""

import msgspec

from topics.text import is_plain

_DEEP = 64
"""Levels of JSON that are indented. Each level indents every line, so depth costs its square."""


def visible(value: bytes, limit: int | None = None, *, lines: bool = False) -> str:
    """The bytes as text of at most about `limit` characters; `lines`: line feeds stay."""
    beginning = value if limit is None else value[:limit]
    rest = len(value) - len(beginning)
    text = beginning.decode(errors="ignore" if rest and _is_text(value) else "backslashreplace")
    shown = "".join(char if _prints(char, lines) else _escaped(char) for char in text)
    return f"{shown}… ({rest:,} more bytes)" if rest else shown


def pretty(value: bytes) -> bytes:
    """JSON indented, its numbers and repeated fields as they are; anything else untouched."""
    if _depth(value) > _DEEP:
        return value
    try:
        return msgspec.json.format(value, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return value


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _prints(char: str, lines: bool) -> bool:
    # A space is plain only between others, and a line feed never.
    return char == " " or (lines and char == "\n") or (char.isprintable() and is_plain(char))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _depth(value: bytes) -> int:
    """The most brackets open at once; brackets inside of texts count too, which is no harm."""
    depth = deepest = 0
    for byte in value:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
