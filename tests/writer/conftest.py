from collections.abc import AsyncIterator

import pytest

from streams.writer.letta import LettaStore, connect
from tests.fake_letta import FakeLetta


@pytest.fixture
async def fake() -> AsyncIterator[FakeLetta]:
    async with FakeLetta().serving() as server:
        yield server


@pytest.fixture
async def letta(fake: FakeLetta) -> AsyncIterator[LettaStore]:
    """A store on the stand-in."""
    store = connect(fake.url)
    yield store
    await store.close()
