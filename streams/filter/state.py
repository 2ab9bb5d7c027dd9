"""What the filter knows of one NPC: the value of the `groups` Table.

The times are event times (`observed_at`), so that a replay decides the same:

    desired              the state pushed last
    last_updated         the last snapshot that confirmed the picture when this was stored; later
                         ones are known in memory and to the Table `seen` (`checkpoint`)
    last_force_refresh   the last snapshot whose whole state was pushed
    source               the record this state was made from; older ones are repeats
    silent               marked by the survey: nobody has reported on the NPC for long

In the Table and its changelog:

    first byte   form
    2            a checksum of what follows, then arrays in MessagePack, in the order of `_Packed`;
                 fields that a later version puts behind them are left out
    {            an older worker's: a JSON object with the field names above, most with a checksum

Older workers take form 2 for damaged: the next snapshot counts as the first (docs/decisions/0023).
"""

import struct
from zlib import crc32

import msgspec

from topics.models import Desired, Member, Model, Source


class GroupState(Model, frozen=True, kw_only=True, omit_defaults=True):
    """State of one NPC's group."""

    desired: Desired
    last_updated: float
    last_force_refresh: float
    source: Source
    silent: bool = False


class _PackedMember(msgspec.Struct, array_like=True):
    id: str
    name: str
    appearance: str


class _Packed(msgspec.Struct, array_like=True):
    members: list[_PackedMember]
    location: str
    action: str
    last_updated: float
    last_force_refresh: float
    topic: str
    partition: int
    offset: int
    silent: bool


class DamagedStateError(ValueError):
    """A Table value that is no state of ours, or not any more."""


_FORM = 2
_HEAD = struct.Struct("<BI")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed).decode

_from_json = msgspec.json.Decoder(GroupState).decode
_SEAL = b'{"crc":"'
_DIGITS = slice(len(_SEAL), len(_SEAL) + 8)
_REST = slice(_DIGITS.stop + len('",'), None)


def read(value: bytes | None) -> GroupState | None:
    """The state of a Table value, None for no value. DamagedStateError for anything else."""
    if not value:
        return None
    try:
        return _read(value) if value[0] == _FORM else _read_older(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, struct.error):
        raise DamagedStateError("not a state") from None


def _read(value: bytes) -> GroupState:
    _, checksum = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    if crc32(body) != checksum:
        raise DamagedStateError("the checksum does not fit")
    packed = _unpack(body)
    members = [Member(id=m.id, name=m.name, appearance=m.appearance) for m in packed.members]
    return GroupState(
        desired=Desired(members=tuple(members), location=packed.location, action=packed.action),
        last_updated=packed.last_updated,
        last_force_refresh=packed.last_force_refresh,
        source=Source(topic=packed.topic, partition=packed.partition, offset=packed.offset),
        silent=packed.silent,
    )


def _read_older(value: bytes) -> GroupState:
    if value.startswith(_SEAL) and not _is_intact(value):
        raise DamagedStateError("the checksum does not fit")
    return _from_json(value)


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
    desired, source = state.desired, state.source
    body = _pack(
        _Packed(
            [_PackedMember(m.id, m.name, m.appearance) for m in desired.members],
            desired.location,
            desired.action,
            state.last_updated,
            state.last_force_refresh,
            source.topic,
            source.partition,
            source.offset,
            state.silent,
        )
    )
    return _HEAD.pack(_FORM, crc32(body)) + body


def _is_intact(value: bytes) -> bool:
    try:
        return int(value[_DIGITS], 16) == crc32(value[_REST])
    except ValueError:
        return False
