"""Where an NPC's records stand, by Kafka's default partitioner, and its Letta agent."""

from collections.abc import Sequence

from aiokafka.partitioner import murmur2

from streams.letta_servers import LettaServer, number_of
from topics.catalogue import PARTITIONS
from topics.encode import encode_key
from topics.models import RosterEntry


def hash_of(npc_id: str) -> int:
    """The positive hash of an NPC's key, of which Kafka's default partitioner takes the rest."""
    hashed: int = murmur2(encode_key(npc_id))
    return hashed & 0x7FFFFFFF


def home_of(npc_id: str) -> int:
    """The partition of an NPC's key on every topic keyed by npc_id."""
    return hash_of(npc_id) % PARTITIONS


def letta_number_of(npc_id: str, entry: RosterEntry | None, servers: Sequence[LettaServer]) -> int:
    """The number of an NPC's Letta server, from 0. Raises UnknownServerError."""
    return number_of(hash_of(npc_id), entry.letta if entry else None, servers)


def letta_of(npc_id: str, entry: RosterEntry | None, servers: Sequence[LettaServer]) -> LettaServer:
    """An NPC's Letta server. Raises UnknownServerError."""
    return servers[letta_number_of(npc_id, entry, servers)]
