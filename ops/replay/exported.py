"""A stretch as a file, one JSON object a line: a bug report is a file. Pure.

The first line says what it is; each other line is one record, bytes kept exactly:

    {"rollcall_stretch": 1, "topic": "npc-snapshots", "since": 1790000000.0, "until": null}
    {"topic": "npc-roster", "partition": 0, "offset": 7, "timestamp": 1790000000000,
     "key": "npc-7", "value": "{\\"npc_id\\": ...}"}

Bytes that are no UTF-8 stand under `key_base64`, `value_base64`; a deletion has the value null.
`since` and `until` (seconds since the epoch, null: no bound) say what is shown; what stands before
`since` is only there for the state to be recovered from, and other topics than `topic` tell of the
roster, the locations and the profiles. Exports have the `settings` they were made under, too.
"""

from base64 import b64decode, b64encode
from typing import Any

import msgspec
import orjson

from ops.replay.stored import Headers, Stored

VERSION = 1
LINE_LIMIT = 8 * 1024 * 1024
"""Bytes of a line: a record of the largest size, written in base64, and headers."""

_OFFSET_LIMIT = 2**63 - 1


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    rollcall_stretch: int
    topic: str
    since: float | None = None
    until: float | None = None
    settings: dict[str, str] = {}
    """Those that decisions depend on, where it was exported."""


class _Line(msgspec.Struct, kw_only=True):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    value: str | None = None
    key_base64: str | None = None
    value_base64: str | None = None
    headers: list[tuple[str, str]] = []


class WrongStretchError(ValueError):
    """A line that is none of ours; the message says why, without its number."""


_head = msgspec.json.Decoder(Head)
_line = msgspec.json.Decoder(_Line)


def head_line(head: Head) -> bytes:
    """The first line of a file, with its end."""
    return orjson.dumps(msgspec.to_builtins(head)) + b"\n"


def record_line(record: Stored) -> bytes:
    """The line of a record, with its end."""
    line: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **_named("key", record.key),
        **_named("value", record.value),
    }
    if record.headers:
        line["headers"] = [[name, b64encode(value).decode()] for name, value in record.headers]
    return orjson.dumps(line) + b"\n"


def read_head(line: bytes) -> Head:
    """The first line of a file. Raises WrongStretchError."""
    try:
        head = _head.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise WrongStretchError("no export of `rollcall replay`") from None
    if head.rollcall_stretch != VERSION:
        raise WrongStretchError(f"an export of version {head.rollcall_stretch}, not {VERSION}")
    return head


def read_record(line: bytes) -> Stored:
    """The record of a line. Raises WrongStretchError."""
    if len(line) > LINE_LIMIT:
        raise WrongStretchError(f"more than {LINE_LIMIT} bytes")
    try:
        told = _line.decode(line)
        return Stored(
            told.topic,
            _number(told.partition, "partition"),
            _number(told.offset, "offset"),
            _number(told.timestamp, "timestamp"),
            _bytes(told.key, told.key_base64),
            _bytes(told.value, told.value_base64),
            _headers(told.headers),
        )
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise WrongStretchError(str(error).splitlines()[0][:200]) from None


def _named(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(value).decode()}


def _bytes(text: str | None, base64: str | None) -> bytes | None:
    if base64 is not None:
        return b64decode(base64, validate=True)
    return None if text is None else text.encode()


def _headers(told: list[tuple[str, str]]) -> Headers:
    return tuple((name, b64decode(value, validate=True)) for name, value in told)


def _number(value: int, name: str) -> int:
    if not 0 <= value <= _OFFSET_LIMIT:
        raise WrongStretchError(f"{name} is out of range")
    return value
