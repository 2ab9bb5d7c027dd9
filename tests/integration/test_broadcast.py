"""A topic that every worker holds whole: complete at the start, live from then on."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from streams.broadcast import Broadcast, Entry
from tests.integration.harness import Town, new_id, new_prefix, until
from topics.catalogue import LOCATIONS, NPC_ROSTER, PLAYER_PROFILES
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

NAMES = (PLAYER_PROFILES, NPC_ROSTER, LOCATIONS)
PATIENCE = 20


class Heard:
    """A broadcast and what it told: the newest value of each key."""

    def __init__(self, town: Town) -> None:
        connection = town.connection
        self.entries: list[Entry] = []
        self.told = Broadcast(connection, [connection.topic(n) for n in NAMES], self.entries.append)

    def value(self, key: str) -> bytes | None:
        return [entry.value for entry in self.entries if entry.key == key.encode()][-1]

    @property
    def keys(self) -> set[bytes | None]:
        return {entry.key for entry in self.entries}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shelf(
    kafka_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """Topics alone, without any worker."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path_factory.mktemp("shelf")) as town:
        yield town


@pytest_asyncio.fixture(loop_scope="session")
async def heard(shelf: Town) -> AsyncIterator[Heard]:
    heard = Heard(shelf)
    yield heard
    await heard.told.stop()


async def test_it_is_complete_when_it_has_started(shelf: Town, heard: Heard) -> None:
    keys = {new_id() for _ in range(200)}
    for key in keys:
        for name in NAMES:
            await shelf.raw(name, key, b"1")

    await asyncio.wait_for(heard.told.start(), PATIENCE)

    assert heard.told.is_ready
    assert {key.encode() for key in keys} <= heard.keys
    assert len(heard.entries) >= 600


async def test_empty_topics_are_complete_at_once(kafka_address: str, tmp_path: Path) -> None:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path) as empty:
        heard = Heard(empty)
        await asyncio.wait_for(heard.told.start(), PATIENCE)
        await heard.told.stop()

    assert heard.entries == []


async def test_what_comes_later_is_heard_and_so_is_a_deletion(shelf: Town, heard: Heard) -> None:
    await asyncio.wait_for(heard.told.start(), PATIENCE)
    key = new_id()

    await shelf.raw(NPC_ROSTER, key, b"1")
    await shelf.raw(NPC_ROSTER, key, None)

    await until(lambda: key.encode() in heard.keys and heard.value(key) is None, "the deletion")


async def test_a_topic_that_ends_with_the_mark_of_a_transaction_is_complete(
    shelf: Town, heard: Heard
) -> None:
    """A game server may publish in transactions; their marks are offsets without a record."""
    key = new_id()
    options = shelf.connection.client_options()
    async with (
        AIOKafkaProducer(**options, transactional_id=new_id()) as producer,
        producer.transaction(),
    ):
        await producer.send(shelf.connection.topic(PLAYER_PROFILES), b"1", key.encode())

    await asyncio.wait_for(heard.told.start(), PATIENCE)

    assert heard.value(key) == b"1"


async def test_a_recall_tells_the_wanted_records_once_more(shelf: Town, heard: Heard) -> None:
    wanted, other = new_id(), new_id()
    for key in (wanted, other):
        await shelf.raw(PLAYER_PROFILES, key, b"1")
    await asyncio.wait_for(heard.told.start(), PATIENCE)
    before = len(heard.entries)

    topic = shelf.connection.topic(PLAYER_PROFILES)
    await asyncio.wait_for(heard.told.recall(topic, {wanted.encode()}), PATIENCE)

    assert [entry.key for entry in heard.entries[before:]] == [wanted.encode()]


async def test_what_is_heard_during_a_recall_is_not_undone_by_it(shelf: Town, heard: Heard) -> None:
    key = new_id()
    await shelf.raw(PLAYER_PROFILES, key, b"old")
    await asyncio.wait_for(heard.told.start(), PATIENCE)
    told: Any = heard.told
    assigned, go = asyncio.Event(), asyncio.Event()
    read_to = told._read_to

    async def wait_and_read(*arguments: object) -> None:
        assigned.set()
        await go.wait()
        await read_to(*arguments)

    told._read_to = wait_and_read
    recall = asyncio.create_task(
        told.recall(shelf.connection.topic(PLAYER_PROFILES), {key.encode()})
    )
    await assigned.wait()
    await shelf.raw(PLAYER_PROFILES, key, b"new")
    await until(lambda: heard.value(key) == b"new", "the new profile")
    go.set()
    await asyncio.wait_for(recall, PATIENCE)

    assert heard.value(key) == b"new"


async def test_a_second_start_waits_for_the_same_reading(shelf: Town, heard: Heard) -> None:
    key = new_id()
    await shelf.raw(NPC_ROSTER, key, b"1")

    await asyncio.gather(heard.told.start(), heard.told.start())
    await heard.told.start()

    assert [entry.key for entry in heard.entries].count(key.encode()) == 1
    assert gc.isenabled()


async def test_a_missing_topic_is_told_by_name(kafka_address: str) -> None:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    broadcast = Broadcast(connection, [connection.topic(NPC_ROSTER)], lambda _: None)

    with pytest.raises(LookupError, match=r"npc-roster does not exist: run `rollcall topics"):
        await asyncio.wait_for(broadcast.start(), PATIENCE)


async def test_a_fault_in_whoever_listens_ends_it(shelf: Town) -> None:
    def break_down(_: Entry) -> None:
        raise KeyError("a bug")

    await shelf.raw(LOCATIONS, new_id(), b"1")
    broadcast = Broadcast(shelf.connection, [shelf.connection.topic(LOCATIONS)], break_down)

    with pytest.raises(KeyError):
        await asyncio.wait_for(broadcast.start(), PATIENCE)
