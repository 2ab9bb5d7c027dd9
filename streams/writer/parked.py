"""A parked command as the `parked` Table keeps it, with its place on the command topic.

    {"offset": 7, "command": {...}}     JSON; `command` as on its topic
    {"command_id": ..., ...}            as written before there was a place: read with no offset

The fence needs the place: of two commands made from one record the later one counts.
"""

import msgspec

from streams.writer.stamp import UNKNOWN, Mark
from topics.decode import decode_command
from topics.encode import encode
from topics.models import UpdateCommand


class _Parked(msgspec.Struct):
    command: msgspec.Raw
    offset: int = UNKNOWN


_decoder = msgspec.json.Decoder(_Parked)


def dump(command: UpdateCommand, mark: Mark) -> bytes:
    """The Table value."""
    return msgspec.json.encode(_Parked(msgspec.Raw(encode(command)), mark.command_offset))


def load(value: bytes) -> tuple[UpdateCommand, int]:
    """The command of a Table value and its offset. DecodeError for one that cannot be read."""
    parked = _parked(value)
    return decode_command(bytes(parked.command)), parked.offset


def _parked(value: bytes) -> _Parked:
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Parked(msgspec.Raw(value))
