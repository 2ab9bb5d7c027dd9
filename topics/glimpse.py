"""Snapshots of which only the time is new, without decoding the rest again. Pure.

A game tells the same of an NPC again and again, in other bytes: the time has moved, and the NPC by
a little. The fields that name people and places are compared as they stand in the record. Where
they are those of the NPC's last snapshot, that one is taken with the new time and position:

    the value                                            is
    ---------------------------------------------------  -----------------------------
    has the fields of the last one, a number as time     the last one, with a new time
    is anything else, or is larger than LARGE            decoded

What comes out is what `decode_snapshot` gives, always.
"""

import msgspec

from topics.decode import decode_snapshot
from topics.models import Snapshot
from topics.wire import COORDINATE_LIMIT, TIME_LIMIT

LARGE = 4096
"""Bytes of a value beyond which nothing of it is kept."""


class _Fields(msgspec.Struct):
    """A snapshot with a number as time and three as position, if any; the rest as it stands."""

    npc_id: str
    observed_at: float
    position: tuple[float, float, float] | None = None
    cluster: msgspec.Raw = msgspec.Raw(b"")
    nearby_players: msgspec.Raw = msgspec.Raw(b"")
    location: msgspec.Raw = msgspec.Raw(b"")
    action: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Fields).decode


class Glimpses:
    """The last snapshot of each key, and the bytes it was made from."""

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[bytes, Snapshot]] = {}

    def of(self, key: bytes | None, value: bytes, timestamp: float) -> Snapshot:
        """As `decode_snapshot`, and raises what that raises."""
        seen = _seen(value) if key is not None else None
        if seen is None or key is None:
            return decode_snapshot(key, value, timestamp)
        told = b"\0".join((seen.cluster, seen.nearby_players, seen.location, seen.action))
        last = self._last.get(key)
        if last is not None and last[0] == told and last[1].npc_id == seen.npc_id:
            return msgspec.structs.replace(
                last[1], observed_at=seen.observed_at, position=seen.position
            )
        snapshot = decode_snapshot(key, value, timestamp)
        self._last[key] = (told, snapshot)
        return snapshot


def _seen(value: bytes) -> _Fields | None:
    """The fields of a usual value; None for any other."""
    if len(value) > LARGE:
        return None
    try:
        seen = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_usual = 0.0 <= seen.observed_at <= TIME_LIMIT and (
        seen.position is None or max(map(abs, seen.position)) <= COORDINATE_LIMIT
    )
    return seen if is_usual else None
