"""Players come and go: the cache forgets, its Table too, and memory stays bounded."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from tests.integration.harness import Town, new_id, new_prefix, until
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

TTL = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def forgetful(
    kafka_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """A town whose filter forgets a player whom nobody saw for two seconds."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path_factory.mktemp("forgetful")) as town:
        town.start("filter", PLAYER_CACHE_TTL=TTL)
        yield town


async def cached(town: Town) -> float:
    return await town.workers["filter"].metric("rollcall_table_entries", table="players")


async def test_ttl_cleanup_forgets_a_player_and_a_return_brings_the_profile_back(
    forgetful: Town, now: float
) -> None:
    npc_id, player = new_id(), (new_id("player"), f"Gustav {new_id()}")
    await forgetful.publish.profile(
        {"player_id": player[0], "name": player[1], "description": "in red", "last_seen": now}
    )
    await forgetful.publish.flush()
    await forgetful.see(npc_id, now, player)
    await forgetful.reasons(npc_id, 1)

    async def is_forgotten() -> bool:
        return await cached(forgetful) == 0

    await forgetful.see(npc_id, now + 20)
    await forgetful.reasons(npc_id, 2)
    await until(is_forgotten, "the player to be forgotten")

    await forgetful.see(npc_id, now + 40, player)
    await forgetful.reasons(npc_id, 4)

    reasons = await forgetful.reasons(npc_id, 4)
    assert reasons == ["first_seen", "members", "members", "profile"]
    [back] = forgetful.commands(npc_id)[3].desired.members
    assert (back.id, back.appearance) == (player[0], "in red")


async def test_memory_is_bounded_by_who_was_seen_within_the_ttl(
    forgetful: Town, now: float
) -> None:
    npcs = [new_id() for _ in range(5)]
    for at in range(100):
        for npc_id in npcs:
            visitors = [(f"{npc_id}.{at}.{number}", f"Visitor {number}") for number in range(10)]
            await forgetful.see(npc_id, now + 60 + at, *visitors)
    report = await forgetful.publish.flush()
    assert report.failed == 0

    async def is_bounded() -> bool:
        sent = await forgetful.workers["filter"].metric("rollcall_snapshots_total", outcome="sent")
        return sent >= 500 and await cached(forgetful) <= 5 * 10 * (TTL + 1)

    await until(is_bounded, "the cache to hold only the last seconds' of 5,000 visitors")
    for npc_id in npcs:
        await forgetful.see(npc_id, now + 200)
    await until(lambda: _is_empty(forgetful), "nobody to be remembered in the end")
    assert await _left_in_changelog(forgetful) == set()


async def _is_empty(town: Town) -> bool:
    return await cached(town) == 0


async def _left_in_changelog(town: Town) -> set[bytes]:
    """Keys of the players' changelog whose last record is no deletion."""
    name = f"{town.connection.topic_prefix}rollcall-filter-players-changelog"
    left: dict[bytes, bytes | None] = {}
    consumer = AIOKafkaConsumer(
        name, **town.connection.client_options(), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                left |= {record.key: record.value for record in records}
    finally:
        await consumer.stop()
    assert left
    return {key for key, value in left.items() if value is not None}
