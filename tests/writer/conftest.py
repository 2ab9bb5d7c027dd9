from collections.abc import AsyncIterator

import pytest
from letta_client import AsyncLetta

from streams.writer.letta import LettaStore, connect
from tests.fake_letta import FakeLetta
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent, agents_on, client_of


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


# on the real Letta


@pytest.fixture
async def client(letta_url: str) -> AsyncIterator[AsyncLetta]:  # noqa: F811
    async with client_of(letta_url) as client:
        yield client


@pytest.fixture
async def store(letta_url: str) -> AsyncIterator[LettaStore]:  # noqa: F811
    store = connect(letta_url)
    yield store
    await store.close()


@pytest.fixture
async def new_agent(client: AsyncLetta) -> AsyncIterator[NewAgent]:
    async with agents_on(client) as make:
        yield make
