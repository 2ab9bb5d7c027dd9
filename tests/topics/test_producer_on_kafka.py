"""The lost topic of aiokafka: with its own producer the first send here is never delivered."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NotLeaderForPartitionError

from topics.producer import Producer

pytestmark = pytest.mark.integration

OPTIONS = {"linger_ms": 500, "request_timeout_ms": 3000}
"""The first batch lingers while the second topic narrows the metadata down."""


@pytest.fixture
async def admin(kafka_address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await client.start()
    yield client
    await client.close()


async def new_topic(admin: AIOKafkaAdminClient) -> str:
    name = f"lost-{uuid.uuid4().hex[:8]}"
    await admin.create_topics([NewTopic(name, 1, 1)])
    async with asyncio.timeout(30):
        while name not in await admin.list_topics():
            pass
    return name


async def send_around_a_new_topic(producer: AIOKafkaProducer, admin: AIOKafkaAdminClient) -> None:
    """Send to a topic known from the start, then to one made later; wait for both."""
    known = await new_topic(admin)
    async with producer:
        await producer.client.force_metadata_update()  # of all topics, while none is tracked
        first = await producer.send(known, b"1")
        second = await producer.send(await new_topic(admin), b"2")
        await first
        await second


async def test_a_topic_known_from_the_start_is_not_lost_when_another_is_new(
    kafka_address: str, admin: AIOKafkaAdminClient
) -> None:
    producer = Producer(bootstrap_servers=kafka_address, **OPTIONS)

    await send_around_a_new_topic(producer, admin)


async def test_aiokafka_still_loses_it(kafka_address: str, admin: AIOKafkaAdminClient) -> None:
    """When this fails, aiokafka does better and `topics.producer` can go."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address, **OPTIONS)

    with pytest.raises(NotLeaderForPartitionError):
        await send_around_a_new_topic(producer, admin)
