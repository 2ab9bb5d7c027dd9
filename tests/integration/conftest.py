"""One town with all three workers for most tests; each test brings NPCs of its own."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.harness import Town, new_id, new_prefix
from topics.connection import KafkaConnection

BAKER = "npc-baker"
"""An NPC of the roster whom everybody may meet; published before the workers start."""

GUARDS = {new_id(): f"Guard {number}" for number in range(3)}
KAIDEN = (new_id(), "Kaiden")
"""More NPCs of the roster, by ids that no other test run knows: their agents are found by tag."""

SQUARE = "market-square"
ALICE, ALICE_LOOKS = ("1001", "Alice"), "tall, red scarf"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(
    kafka_address: str, letta_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """Splitter, filter and writer on a town of which the roster and a profile are told before."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path_factory.mktemp("town"), letta_url) as town:
        await _tell_what_stands(town)
        for role in ("splitter", "filter", "writer"):
            town.start(role)
        yield town


async def _tell_what_stands(town: Town) -> None:
    publish = town.publish
    await publish.roster({"npc_id": BAKER, "name": "Greta", "description": "flour on her sleeves"})
    for npc_id, name in (*GUARDS.items(), KAIDEN):
        await publish.roster({"npc_id": npc_id, "name": name})
    await publish.location(
        {"slug": SQUARE, "name": "Market Square", "coordinates": [0.0, 0.0, 0.0]}
    )
    profile = {"player_id": ALICE[0], "name": ALICE[1], "description": ALICE_LOOKS}
    await publish.profile({**profile, "last_seen": time.time()})
    report = await publish.flush()
    assert report.failed == 0


@pytest_asyncio.fixture(loop_scope="session")
async def lone_town(kafka_address: str, tmp_path: Path) -> AsyncIterator[Town]:
    """Topics of its own and no worker yet, for tests that need workers of their own; no Letta."""
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path) as lone:
        yield lone


@pytest.fixture
def now() -> float:
    """Seconds since the epoch, whole, so that times of a test are easily told."""
    return float(int(time.time()))
