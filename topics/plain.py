"""Snapshots that are written just as the contract has them, decoded in one go. Pure.

Most records need none of the care of `topics.decode`: compact JSON in printable ASCII, ids and
names as text within their limits, nobody twice. Such a record holds nothing that `topics.text`
would change. Any other is None here, and decoded there.

Invariant: a snapshot from here is the one that `topics.decode` makes of the record.
"""

import msgspec

from topics.models import Snapshot

LARGE = 64 * 1024
"""Bytes of a record beyond which it is no usual one."""

_decode = msgspec.json.Decoder(Snapshot).decode


def plain_snapshot(value: bytes) -> Snapshot | None:
    """The snapshot of a record that needs no care; None for any other."""
    if not _is_tidy(value):
        return None
    try:
        snapshot = _decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return snapshot if _names_all_once(snapshot) else None


def _is_tidy(value: bytes) -> bool:
    """Whether every text in it is printable, with single spaces and none at its ends."""
    return (
        len(value) <= LARGE
        and value.isascii()
        and b"\\" not in value
        and b"  " not in value
        and b'" ' not in value
        and b' "' not in value
        and value.decode().isprintable()
    )


def _names_all_once(snapshot: Snapshot) -> bool:
    cluster, nearby = snapshot.cluster, snapshot.nearby_players
    return len(set(cluster)) == len(cluster) and (
        len(nearby) < 2 or len({player.id for player in nearby}) == len(nearby)
    )
