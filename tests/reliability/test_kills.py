"""Filter and writer are killed under load; the full figures come from `rollcall bench faults`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from letta_client import AsyncLetta

from tests.integration.harness import Town, new_prefix
from tests.reliability import kills
from tests.reliability.figures import tell
from topics.connection import KafkaConnection

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

PLAN = kills.Plan(kills=2, npcs=12, every=1.0, seed=7)


@pytest_asyncio.fixture(loop_scope="session")
async def town(kafka_address: str, letta_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    connection = KafkaConnection(broker=kafka_address, topic_prefix=new_prefix())
    async with Town(connection, tmp_path, letta_url) as made:
        yield made


async def test_filter_and_writer_killed_under_load_lose_no_change(town: Town) -> None:
    async with AsyncLetta(base_url=town.letta_url, api_key="none", max_retries=0) as letta:
        verdict = await kills.run(town, letta, PLAN)

    tell("kills", **{name: str(value) for name, value in verdict.as_json().items()})
    assert [] == verdict.broken()
    assert {"filter": 2, "writer": 2} == verdict.kills
    assert verdict.wanted > PLAN.npcs
