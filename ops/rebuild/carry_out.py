"""Makes the plan of a rebuild, and carries it out.

Both steps may be done twice. Deleting comes first: where the second step fails, each NPC's next
snapshot counts as its first, which is right as well, and the rebuild may be begun again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata

from ops.failure import Failure
from ops.rebuild.plan import CHANGELOGS, Live, Plan, rewinds
from ops.tables import admin_client, members_of, missing_topics, read_changelog, silence_client
from streams.topology import Role, group_id
from topics.catalogue import NPC_SNAPSHOTS, PARTITIONS
from topics.connection import KafkaConnection
from topics.producer import Producer

WAVE = 500
"""Deletions under way at once."""


async def demand_rest(connection: KafkaConnection) -> None:
    """A Failure while a filter or a writer belongs to its group."""
    async with admin_client(connection) as admin:
        for role in (Role.FILTER, Role.WRITER):
            members = await members_of(admin, group_id(role, connection.topic_prefix))
            if members:
                raise Failure(
                    f"{members} {role} worker{'s run' if members > 1 else ' runs'}; stop every "
                    "filter and writer first (one that was killed counts until its session ends)."
                )


async def plan_of(connection: KafkaConnection, since: float | None) -> Plan:
    """What would be done. `since`: seconds since the epoch; None: from the beginning."""
    silence_client()
    absent = set(await missing_topics(connection, CHANGELOGS))
    live = {
        connection.topic(name): sorted(await read_changelog(connection, name))
        for name in CHANGELOGS
        if name not in absent
    }
    async with _consumer(connection) as consumer:
        partitions = _partitions(connection)
        committed = {tp.partition: await consumer.committed(tp) for tp in partitions}
        return Plan(
            live,
            rewinds(
                _by_number(await consumer.beginning_offsets(partitions)),
                _by_number(await consumer.end_offsets(partitions)),
                {number: offset for number, offset in committed.items() if offset is not None},
                None if since is None else await _first_since(consumer, partitions, since),
            ),
        )


async def carry_out(connection: KafkaConnection, plan: Plan) -> None:
    """Delete, then rewind. A Failure where a worker came meanwhile."""
    async with _producer(connection) as producer:
        for topic, keys in plan.live.items():
            await _delete(producer, topic, keys)
    await _rewind(connection, plan)
    await demand_rest(connection)


async def _delete(producer: Any, topic: str, keys: Iterable[Live]) -> None:
    left = iter(keys)
    while wave := list(islice(left, WAVE)):
        await asyncio.gather(
            *(
                producer.send_and_wait(topic, value=None, key=key, partition=partition)
                for partition, key in wave
            )
        )


async def _rewind(connection: KafkaConnection, plan: Plan) -> None:
    topic = connection.topic(NPC_SNAPSHOTS)
    offsets = {
        TopicPartition(topic, rewind.partition): OffsetAndMetadata(rewind.target, "")
        for rewind in plan.rewinds
    }
    async with _consumer(connection) as consumer:
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError):
            raise Failure(
                "a filter came while its states were deleted; stop it and begin again."
            ) from None


async def _first_since(
    consumer: Any, partitions: list[TopicPartition], since: float
) -> dict[int, int | None]:
    asked = {partition: int(since * 1000) for partition in partitions}
    found = await consumer.offsets_for_times(asked)
    return {tp.partition: at.offset if at else None for tp, at in found.items()}


@asynccontextmanager
async def _consumer(connection: KafkaConnection) -> Any:
    """A consumer that speaks for the filter's group without joining it."""
    consumer = AIOKafkaConsumer(
        **connection.client_options(),
        group_id=group_id(Role.FILTER, connection.topic_prefix),
        enable_auto_commit=False,
    )
    consumer.assign(_partitions(connection))
    async with consumer:
        yield consumer


def _partitions(connection: KafkaConnection) -> list[TopicPartition]:
    topic = connection.topic(NPC_SNAPSHOTS)
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


def _by_number(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items()}


def _producer(connection: KafkaConnection) -> Producer:
    return Producer(**connection.client_options(), acks="all", enable_idempotence=True)
