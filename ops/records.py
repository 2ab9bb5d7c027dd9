"""The records that stand on a topic now, from its beginning to the end of this moment.

They pass through one at a time: a topic of a gigabyte needs little memory. With a key only its
partition is read, the one that Kafka's default partitioner gives it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from ops.failure import Failure
from topics.catalogue import DEAD_LETTER_LIMIT
from topics.connection import KafkaConnection

SILENCE = 30.0
"""Seconds without a single record after which a broker has stopped answering."""

OnProgress = Callable[[int, int], None]
"""Told while reading: offsets behind us, and how many there are."""


async def records(
    connection: KafkaConnection,
    name: str,
    key: bytes | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
    *,
    since: float | None = None,
) -> AsyncIterator[Any]:
    """Every record that stands on a topic now, in the order of each partition.

    `key`: only the records of this key. `since`: only from the first record of that time on,
    seconds since the epoch. A Failure after a long silence.
    """
    topic = connection.topic(name)
    async with _consumer(connection, topic) as consumer:
        partitions = _only(consumer, key)
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        if since is not None:
            starts |= await moved_to(consumer, partitions, since, ends)
        total = sum(ends.values()) - sum(starts.values())
        while fetched := await _fetched(consumer, ends, topic):
            on_progress(total - await _left(consumer, ends), total)
            for record in fetched:
                is_wanted = key is None or record.key == key
                if is_wanted and record.offset < ends[TopicPartition(topic, record.partition)]:
                    yield record


async def moved_to(
    consumer: Any,
    partitions: Collection[TopicPartition],
    since: float,
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Goes to the first record of that time on each partition; where that is."""
    asked = dict.fromkeys(partitions, max(int(since * 1000), 0))
    found = await consumer.offsets_for_times(asked) if asked else {}
    places = {one: found[one].offset if found.get(one) else ends[one] for one in partitions}
    for one, offset in places.items():
        consumer.seek(one, offset)
    return places


def partition_of(key: bytes, partitions: Collection[int]) -> int:
    """Where the records of a key stand: murmur2, as Kafka's own clients have it."""
    numbers = sorted(partitions)
    return int(DefaultPartitioner()(key, numbers, numbers))


@asynccontextmanager
async def _consumer(connection: KafkaConnection, topic: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        topic,
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=DEAD_LETTER_LIMIT,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _only(consumer: Any, key: bytes | None) -> list[TopicPartition]:
    """The partitions to read: all, or that of a key, with the others paused."""
    assigned = sorted(consumer.assignment())
    if key is None or not assigned:
        return assigned
    number = partition_of(key, [each.partition for each in assigned])
    consumer.pause(*(each for each in assigned if each.partition != number))
    return [each for each in assigned if each.partition == number]


async def _left(consumer: Any, ends: Mapping[TopicPartition, int]) -> int:
    """Offsets that are still before us."""
    return sum([max(end - await consumer.position(each), 0) for each, end in ends.items()])


async def _fetched(consumer: Any, ends: Mapping[TopicPartition, int], topic: str) -> list[Any]:
    """The next records; none once the ends are reached. A Failure after a long silence."""
    try:
        async with asyncio.timeout(SILENCE):
            while await _left(consumer, ends):
                if fetched := await consumer.getmany(*ends, timeout_ms=500):
                    return [record for records in fetched.values() for record in records]
            return []
    except TimeoutError:
        raise Failure(f"{topic} could not be read to its end.") from None
