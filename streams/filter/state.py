"""What the filter knows of one NPC: the value of the `groups` Table.

The times are event times (`observed_at`), so that a replay decides the same:

    desired              the state pushed last
    last_updated         the last snapshot that confirmed the picture when this was stored; later
                         ones are known in memory and to the Table `seen` (`checkpoint`)
    last_force_refresh   the last snapshot whose whole state was pushed
    source               the record this state was made from; older ones are repeats
    silent               marked by the survey: nobody has reported on the NPC for long

In the changelog it is one JSON object that opens with a checksum of everything behind it:
`{"crc":"8 hex digits","desired":...}`. A value without one is an older worker's.
"""

from zlib import crc32

import msgspec

from topics.models import Desired, Model, Source


class GroupState(Model, frozen=True, kw_only=True, omit_defaults=True):
    """State of one NPC's group, as it stands in the changelog (JSON)."""

    desired: Desired
    last_updated: float
    last_force_refresh: float
    source: Source
    silent: bool = False


class DamagedStateError(ValueError):
    """A Table value that is no state of ours, or not any more."""


_decoder = msgspec.json.Decoder(GroupState)
_encoder = msgspec.json.Encoder()
_SEAL = b'{"crc":"'
_DIGITS = slice(len(_SEAL), len(_SEAL) + 8)
_REST = slice(_DIGITS.stop + len('",'), None)


def read(value: bytes | None) -> GroupState | None:
    """The state of a Table value, None for no value. DamagedStateError for anything else."""
    if not value:
        return None
    if value.startswith(_SEAL) and not _is_intact(value):
        raise DamagedStateError("the checksum does not fit")
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DamagedStateError("not a state") from None


def load(value: bytes | None) -> GroupState | None:
    """The state of a Table value. None for no value and for a damaged one: the next snapshot then
    counts as the first, which costs one read of the memory and loses nothing.
    """
    try:
        return read(value)
    except DamagedStateError:
        return None


def dump(state: GroupState) -> bytes:
    """The Table value of a state."""
    rest = _encoder.encode(state)[1:]
    return b'%b%08x",%b' % (_SEAL, crc32(rest), rest)


def _is_intact(value: bytes) -> bool:
    try:
        return int(value[_DIGITS], 16) == crc32(value[_REST])
    except ValueError:
        return False
