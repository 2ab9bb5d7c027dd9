"""Consumer groups of a comparison: put at a place, and asked how far they are."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from topics.connection import KafkaConnection


async def place(
    connection: KafkaConnection, group: str, offsets: Mapping[TopicPartition, int]
) -> None:
    """Commit these offsets in the name of a group that has no members."""
    consumer = AIOKafkaConsumer(
        **connection.client_options(), group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))
    finally:
        await consumer.stop()


async def ends(connection: KafkaConnection, topics: list[str]) -> dict[TopicPartition, int]:
    """Where the next record of each partition will stand."""
    consumer = AIOKafkaConsumer(**connection.client_options(), group_id=None)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(await _partitions(consumer, topic))
        ]
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer.topics()
    return consumer.partitions_for_topic(topic) or set()


class Committed:
    """Asks how many records of a topic a group has finished, cheaply, again and again."""

    def __init__(self, admin: Any, group: str, topic: str) -> None:
        self._admin, self._group, self._topic = admin, group, topic
        self._coordinator: int | None = None

    async def count(self) -> int:
        """Offsets committed on all partitions, which begin at 0."""
        if self._coordinator is None:
            self._coordinator = await self._admin.find_coordinator(self._group)
        found = await self._admin.list_consumer_group_offsets(self._group, self._coordinator)
        return sum(max(where.offset, 0) for one, where in found.items() if one.topic == self._topic)
