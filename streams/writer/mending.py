"""Text that is nearly a JSON object, spelled as one: nothing is guessed, and no text goes away.

    found                                          becomes
    ---------------------------------------------  -------------------------------------------------
    'single quotes', True, False, None             "double quotes", true, false, null
    a comma before a closing brace or bracket      none
    a line break or tab inside a string            \\n, \\t
    "12→ " before every line                       dropped: numbers that Letta shows beside a block
    "quotes "inside" a string"                     escaped: only one before , : } ] ends a string
    a line between the fields that is not JSON     taken out, and handed back

Python's repr, what a model writes from memory, and what an edit by line leaves are of this kind.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'
    r"|'(?:[^'\\]|\\.)*'"
    r"|[{}\[\]]"
    r"|(?P<spare>,)(?=\s*[}\]])"
    r"|\b(?:True|False|None)\b"
    r"|[^\"'{}\[\],TFN]+"
    r"|.",
    re.DOTALL,
)
_LOOSE_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.|"(?!\s*[,:}\]]))*"(?=\s*[,:}\]])'
    r"|[{}\[\]]|(?P<spare>,)(?=\s*[}\]])|[^\"{}\[\],]+|.",
    re.DOTALL,
)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_IN_STRING = re.compile(r"\\.|[\"\x00-\x1f]", re.DOTALL)
_NUMBERED = re.compile(r"\s*\d+→ ?")
_ODD_LINES_LIMIT = 5


class Spelled(NamedTuple):
    """An object in the spelling of JSON."""

    text: str
    end: int
    """Of the text it was made from."""
    odd: frozenset[str]
    """Strings in which something had to be escaped: somebody wrote into them by hand."""


def spelled(text: str) -> Spelled | None:
    """The object that the text begins with, or None where it ends nowhere."""
    return _spelled(text, _TOKEN)


def requoted(text: str) -> Spelled | None:
    """The same where strings hold quotes that nobody escaped."""
    return _spelled(text, _LOOSE_TOKEN)


def _spelled(text: str, token_pattern: re.Pattern[str]) -> Spelled | None:
    written: list[str] = []
    odd: list[str] = []
    depth = 0
    for match in token_pattern.finditer(text):
        token = match[0]
        if token in ('"', "'"):  # opens a string that never ends
            return None
        written.append("" if match["spare"] else _as_json(token))
        if _is_odd(token):
            odd.append(written[-1])
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        if depth <= 0:
            return Spelled("".join(written), match.end(), frozenset(_texts(odd)))
    return None


def without_line_numbers(text: str) -> str | None:
    """The text without the numbers before its lines; None unless every line has one."""
    lines = text.split("\n")
    numbered = [_NUMBERED.match(line) for line in lines]
    if not all(numbered):
        return None
    return "\n".join(_NUMBERED.sub("", line, count=1) for line in lines)


def without_odd_lines(text: str) -> tuple[str, str] | None:
    """The text without the lines at which JSON breaks, and those; None where that does not help."""
    odd: list[str] = []
    lines = text.split("\n")
    for _ in range(_ODD_LINES_LIMIT):
        at = _breaks_at("\n".join(lines))
        if at is None:
            return ("\n".join(lines), "\n".join(odd)) if odd else None
        if not 0 < at < len(lines) or re.search(r"[{}\[\]]", lines[at]):
            return None
        odd.append(lines.pop(at).strip())
    return None


def _as_json(token: str) -> str:
    quote = token[0]
    if quote in "\"'" and len(token) > 1:
        return '"' + _IN_STRING.sub(_escaped, token[1:-1]) + '"'
    return _WORDS.get(token, token)


def _is_odd(token: str) -> bool:
    quote = token[0]
    if quote not in "\"'":
        return False
    escaped = (found[0] for found in _IN_STRING.finditer(token, 1, len(token) - 1))
    return any(found < " " or found == quote for found in escaped)


def _texts(strings: list[str]) -> Iterator[str]:
    for string in strings:
        with suppress(ValueError):
            yield json.loads(string)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "\\'":
        return "'"
    return found if found[0] == "\\" else json.dumps(found)[1:-1]


def _breaks_at(text: str) -> int | None:
    """The line, from 0, at which the text is no JSON object any more; text after one is none."""
    try:
        json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        return error.lineno - 1
    except (ValueError, RecursionError):
        return -1
    return None
