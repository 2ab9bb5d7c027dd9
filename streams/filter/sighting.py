"""A player as the `players` Table keeps it: who was seen near the NPCs of a partition, and when.

The key carries the partition: a partition takes what its NPCs saw first along to
whichever worker gets it.
"""

import msgspec

from streams.filter.players import Player
from streams.partitioned_key import partitioned_key, split_key
from topics.models import Model


class Sighting(Model, frozen=True, kw_only=True):
    """The Table value; `last_seen` in seconds, event time."""

    name: str
    last_seen: float


_decoder = msgspec.json.Decoder(Sighting)


def dump(partition: int, player: Player) -> tuple[bytes, bytes]:
    """Key and value for the Table."""
    value = msgspec.json.encode(Sighting(name=player.name, last_seen=player.last_seen))
    return partitioned_key(partition, player.id), value


def load(key: bytes, value: bytes) -> Player | None:
    """The player of a Table entry; None for one that cannot be read."""
    try:
        sighting = _decoder.decode(value)
        return Player(split_key(key)[1], sighting.name, last_seen=sighting.last_seen)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
