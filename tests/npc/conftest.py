"""A scripted model, and agents on the real Letta that think with it."""

from collections.abc import AsyncIterator

import pytest
from letta_client import AsyncLetta

from streams.writer.letta import LettaStore, connect
from tests.npc.model import ScriptedModel
from tests.servers import letta_url  # noqa: F401 - a fixture
from tests.writer.agents import NewAgent, agents_on, client_of


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
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel().serving() as model:
        yield model


@pytest.fixture
async def new_agent(client: AsyncLetta, model: ScriptedModel) -> AsyncIterator[NewAgent]:
    async with agents_on(client, model.config) as make:
        yield make
