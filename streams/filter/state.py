"""What the filter knows of one NPC: the value of the `groups` Table.

The times are event times (`observed_at`), so that a replay decides the same:

    desired              the state pushed last
    last_updated         the last snapshot that confirmed the picture
    last_force_refresh   the last snapshot whose whole state was pushed
    source               the record this state was made from; older ones are repeats
"""

import msgspec

from topics.models import Desired, Model, Source


class GroupState(Model, frozen=True, kw_only=True):
    """State of one NPC's group, as it stands in the changelog (JSON)."""

    desired: Desired
    last_updated: float
    last_force_refresh: float
    source: Source


_decoder = msgspec.json.Decoder(GroupState)
_encoder = msgspec.json.Encoder()


def load(value: bytes | None) -> GroupState | None:
    """The state of a Table value. None for no value and for one that cannot be read: the next
    snapshot then counts as the first, which costs one read of the memory and loses nothing.
    """
    if not value:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def dump(state: GroupState) -> bytes:
    """The Table value of a state."""
    return _encoder.encode(state)
