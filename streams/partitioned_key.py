"""Table keys that carry their partition: `<partition>/<id>`.

A memory Table keeps what it no longer owns after a rebalance, and a key seen in two partitions is
one entry in it; with the partition in the key each entry can be told and kept apart.
"""

from aiokafka.partitioner import murmur2

from topics.catalogue import PARTITIONS
from topics.encode import encode_key


def home_of(npc_id: str) -> int:
    """The partition to which publishers send the records of an NPC."""
    hashed: int = murmur2(encode_key(npc_id))
    return (hashed & 0x7FFFFFFF) % PARTITIONS


def partitioned_key(partition: int, identity: str) -> bytes:
    """The Table key of an id in a partition."""
    return f"{partition}/{identity}".encode()


def split_key(key: bytes) -> tuple[int, str]:
    """Partition and id of a Table key. ValueError for anything else."""
    partition, slash, identity = key.decode().partition("/")
    if not slash:
        raise ValueError(f"no partition in the key {key[:80]!r}")
    return int(partition), identity
