"""Snapshots that are written as the contract has them, decoded in one go. Pure.

Most records need none of the care of `topics.decode`: compact JSON in printable ASCII, ids and
names as text within their limits, nobody twice. Such a record holds nothing that `topics.text`
would change. Any other is None here, and decoded there.

Invariant: a snapshot from here is the one that `topics.decode` makes of the record.
"""

import msgspec

from topics.models import (
    DEFAULT_ACTION,
    Action,
    Coordinates,
    Id,
    Name,
    PlayerRef,
    Seconds,
    Slug,
    Snapshot,
)

LARGE = 64 * 1024
"""Bytes of a record beyond which it is no usual one."""

_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b"\\"))


class _Written(msgspec.Struct):
    """A `Snapshot` as it is told, with players as objects or pairs."""

    npc_id: Id
    observed_at: Seconds
    cluster: tuple[Name, ...] = ()
    nearby_players: tuple[PlayerRef | tuple[Id, Name], ...] = ()
    location: Slug | None = None
    action: Action = DEFAULT_ACTION
    position: Coordinates | None = None


_decode = msgspec.json.Decoder(_Written).decode


def plain_snapshot(value: bytes) -> Snapshot | None:
    """The snapshot of a record that needs no care; None for any other."""
    if not _is_tidy(value):
        return None
    try:
        written = _decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None
    cluster, nearby = written.cluster, tuple(map(_ref, written.nearby_players))
    if len(set(cluster)) < len(cluster) or len({player.id for player in nearby}) < len(nearby):
        return None
    return Snapshot(
        npc_id=written.npc_id,
        observed_at=written.observed_at,
        cluster=cluster,
        nearby_players=nearby,
        location=written.location,
        action=written.action,
        position=written.position,
    )


def _is_tidy(value: bytes) -> bool:
    """Whether every text in it is printable, with single spaces and none at its ends."""
    return (
        len(value) <= LARGE
        and not value.translate(None, _PLAIN)
        and value.find(b"  ") < 0
        and value.find(b'" ') < 0
        and value.find(b' "') < 0
    )


def _ref(player: PlayerRef | tuple[str, str]) -> PlayerRef:
    return PlayerRef(id=player[0], name=player[1]) if isinstance(player, tuple) else player
