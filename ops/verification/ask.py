"""Sends verify requests and follows the writer's results, until every NPC is settled."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.verification.asking import Asking, Fate, Verified
from topics.catalogue import NPC_UPDATE_RESULTS, NPC_VERIFY_REQUESTS, PARTITIONS
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_result
from topics.encode import encode, encode_key
from topics.models import VerifyRequest
from topics.producer import Producer


async def ask(
    connection: KafkaConnection, asking: Asking, hopeless: Iterable[str]
) -> AsyncIterator[Verified]:
    """Ask about everybody; each NPC once it is settled or given up.

    `hopeless`: NPCs to ask about without an answer to wait for.
    """
    async with _results(connection) as results, _producer(connection) as producer:
        await _send(producer, connection, hopeless)
        while not asking.is_over:
            await _send(producer, connection, asking.due(time.monotonic()))
            for value in await _next(results):
                verified = _heard(value, asking)
                if verified:
                    yield verified
            for npc_id in asking.give_up(time.monotonic()):
                yield Verified(npc_id, Fate.NO_ANSWER)


def _heard(value: bytes | None, asking: Asking) -> Verified | None:
    try:
        return asking.hear(decode_result(value or b""), time.monotonic())
    except DecodeError:
        return None  # not the writer's


async def _send(producer: Any, connection: KafkaConnection, npc_ids: Iterable[str]) -> None:
    topic = connection.topic(NPC_VERIFY_REQUESTS)
    requests = [VerifyRequest(npc_id=npc_id, requested_at=time.time()) for npc_id in npc_ids]
    await asyncio.gather(
        *(producer.send_and_wait(topic, encode(one), encode_key(one.npc_id)) for one in requests)
    )


async def _next(results: Any) -> list[bytes | None]:
    fetched = await results.getmany(timeout_ms=200)
    return [record.value for records in fetched.values() for record in records]


def _producer(connection: KafkaConnection) -> Producer:
    return Producer(**connection.client_options(), acks="all", enable_idempotence=True)


@asynccontextmanager
async def _results(connection: KafkaConnection) -> AsyncIterator[Any]:
    """A consumer of every result from now on."""
    topic = connection.topic(NPC_UPDATE_RESULTS)
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        **connection.client_options(), group_id=None, enable_auto_commit=False
    )
    async with consumer:
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        yield consumer
