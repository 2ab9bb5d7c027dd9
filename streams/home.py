"""Where an NPC's records stand: Kafka's default partitioner, as publishers use it."""

from aiokafka.partitioner import murmur2

from topics.catalogue import PARTITIONS
from topics.encode import encode_key


def home_of(npc_id: str) -> int:
    """The partition of an NPC's key on every topic keyed by npc_id."""
    hashed: int = murmur2(encode_key(npc_id))
    return (hashed & 0x7FFFFFFF) % PARTITIONS
