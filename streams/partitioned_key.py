"""Table keys that carry their partition: `<partition>/<id>`.

A memory Table keeps what it no longer owns after a rebalance, and a key seen in two partitions is
one entry in it; with the partition in the key each entry can be told and kept apart.
"""


def partitioned_key(partition: int, identity: str) -> bytes:
    """The Table key of an id in a partition."""
    return f"{partition}/{identity}".encode()


def split_key(key: bytes) -> tuple[int, str]:
    """Partition and id of a Table key. ValueError for anything else."""
    partition, slash, identity = key.decode().partition("/")
    if not slash:
        raise ValueError(f"no partition in the key {key[:80]!r}")
    return int(partition), identity
