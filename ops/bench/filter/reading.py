"""Everything on a topic, as it stands there when the reading begins."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from ops.failure import Failure
from topics.connection import KafkaConnection
from topics.decode import decode_command
from topics.models import UpdateCommand

_READ_PATIENCE = 120.0


async def read_commands(connection: KafkaConnection, topic: str) -> list[UpdateCommand]:
    """All commands on a topic; those of an NPC in their order."""
    return [decode_command(record.value) for record in await read_records(connection, topic)]


async def read_records(connection: KafkaConnection, topic: str) -> list[Any]:
    """All records of a topic that have a value."""
    consumer = AIOKafkaConsumer(
        topic, **connection.client_options(), group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(_READ_PATIENCE):
            return await _read_to_end(consumer)
    except TimeoutError:
        raise Failure(f"{topic} could not be read within {_READ_PATIENCE:.0f} seconds.") from None
    finally:
        await consumer.stop()


async def _read_to_end(consumer: AIOKafkaConsumer) -> list[Any]:
    partitions = sorted(consumer.assignment())
    found: list[Any] = []
    goals = await consumer.end_offsets(partitions)
    while [one for one in partitions if await consumer.position(one) < goals[one]]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [record for record in records if record.value is not None]
    return found
