"""How far each role is behind: records on its topic that its consumer group has not finished."""

from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.lag.reading import INPUT
from streams.topology import Role, group_id
from topics.connection import KafkaConnection


@dataclass(slots=True)
class LagReader:
    """Asks the broker; `admin` and `consumer` are open clients of the caller's."""

    connection: KafkaConnection
    admin: Any
    consumer: AIOKafkaConsumer

    async def lag(self, role: Role) -> int:
        """Records not finished; a partition without a commit counts from its beginning."""
        topic = self.connection.topic(INPUT[role])
        partitions = [
            TopicPartition(topic, number) for number in range((await self._partitions(topic)) or 0)
        ]
        ends = await self.consumer.end_offsets(partitions)
        group = group_id(role, self.connection.topic_prefix)
        committed = await self.admin.list_consumer_group_offsets(group)
        return sum(
            max(0, end - max(0, committed[partition].offset if partition in committed else 0))
            for partition, end in ends.items()
        )

    async def all(self) -> dict[Role, int]:
        """Every role's lag, upstream first: once one is 0, the records of the next are complete."""
        return {role: await self.lag(role) for role in INPUT}

    async def _partitions(self, topic: str) -> int:
        found = await self.admin.describe_topics([topic])
        return len(found[0]["partitions"])

    async def members(self, role: Role) -> int:
        """Workers of a role that have joined and got their partitions."""
        group = group_id(role, self.connection.topic_prefix)
        for answer in await self.admin.describe_consumer_groups([group]):
            for _code, _group, state, _kind, _protocol, members, *_ in answer.groups:
                return len(members) if state == "Stable" else 0
        return 0
