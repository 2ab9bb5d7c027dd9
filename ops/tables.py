"""What the compacted topics hold, read once from beginning to end, and which topics are there."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    NotCoordinatorForGroupError,
)

from ops.failure import Failure
from topics.connection import KafkaConnection
from topics.decode import DecodeError
from topics.handshake import demand_entry

Value = TypeVar("Value")
Key = TypeVar("Key")

_TRIES, _PAUSE = 20, 0.5
"""Questions for a group whose coordinator is not there yet, and the seconds between two."""

READ_TIMEOUT = 60.0
"""Seconds that reading one whole topic may take."""


def silence_client() -> None:
    """Keep aiokafka's own log lines off the terminal: we say ourselves what went wrong."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@asynccontextmanager
async def admin_client(connection: KafkaConnection) -> Any:
    """An aiokafka admin client, connected.

    KafkaConnectionError where no broker answers, NoEntryError where one refuses us.
    """
    silence_client()
    admin = AIOKafkaAdminClient(**connection.client_options(), request_timeout_ms=15_000)
    try:
        await _start(admin, connection)
        yield admin
    finally:
        await admin.close()


async def _start(admin: Any, connection: KafkaConnection) -> None:
    try:
        await admin.start()
    except KafkaConnectionError:
        await demand_entry(connection)
        raise


async def demand_topics(connection: KafkaConnection, names: Iterable[str]) -> None:
    """A Failure that names the missing ones, unless all of these topics exist."""
    missing = [connection.topic(name) for name in await missing_topics(connection, names)]
    if missing:
        named = ", ".join(missing)
        verb = "does not exist" if len(missing) == 1 else "do not exist"
        raise Failure(f"{named} {verb} on the broker; run `rollcall topics apply` first.")


async def missing_topics(connection: KafkaConnection, names: Iterable[str]) -> list[str]:
    """Those of the topics that the broker does not have, by the names given."""
    async with admin_client(connection) as admin:
        there = set(await admin.list_topics())
    return [name for name in names if connection.topic(name) not in there]


async def members_of(admin: Any, group: str) -> int:
    """Workers that belong to a consumer group just now."""
    answers = await _described(admin, group)
    return sum(len(found[5]) for answer in answers for found in answer.groups)


async def _described(admin: Any, group: str) -> Any:
    """What the broker knows of a group. A new broker has no coordinator until asked for one."""
    for _ in range(_TRIES - 1):
        try:
            return await admin.describe_consumer_groups([group])
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
            await asyncio.sleep(_PAUSE)
    return await admin.describe_consumer_groups([group])


async def read_table(connection: KafkaConnection, name: str) -> dict[bytes, bytes]:
    """The newest value of each key of a topic; deleted keys are left out."""
    table: dict[bytes, bytes] = {}
    await _read_all(connection, name, lambda record: _take(table, record.key or b"", record.value))
    return table


async def read_changelog(connection: KafkaConnection, name: str) -> dict[tuple[int, bytes], bytes]:
    """The newest value of each partition and key of a Table's changelog, without the deleted."""
    table: dict[tuple[int, bytes], bytes] = {}

    def take(record: Any) -> None:
        if record.key is not None:  # Faust writes none without
            _take(table, (record.partition, record.key), record.value)

    await _read_all(connection, name, take)
    return table


async def _read_all(connection: KafkaConnection, name: str, take: Callable[[Any], None]) -> None:
    silence_client()
    topic = connection.topic(name)
    consumer = AIOKafkaConsumer(
        topic, **connection.client_options(), group_id=None, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        async with asyncio.timeout(READ_TIMEOUT):
            await _read_to_end(consumer, sorted(consumer.assignment()), take)
    except TimeoutError:
        raise Failure(f"{topic} could not be read within {READ_TIMEOUT:.0f} seconds.") from None
    finally:
        await consumer.stop()


async def _read_to_end(
    consumer: Any, partitions: list[TopicPartition], take: Callable[[Any], None]
) -> None:
    ends = await consumer.end_offsets(partitions) if partitions else {}
    while [p for p in partitions if await consumer.position(p) < ends[p]]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                take(record)


def _take(table: dict[Key, bytes], key: Key, value: bytes | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


async def read_models(
    connection: KafkaConnection, name: str, decode: Callable[[bytes | None, bytes], Value]
) -> tuple[dict[str, Value], list[str]]:
    """The models of a table by key, and a sentence for each record that is no such model."""
    models: dict[str, Value] = {}
    wrong: list[str] = []
    for key, value in (await read_table(connection, name)).items():
        try:
            models[key.decode(errors="replace")] = decode(key, value)
        except DecodeError as error:
            wrong.append(f"{name} {key.decode(errors='replace')[:80]!r}: {error}")
    return models, wrong
