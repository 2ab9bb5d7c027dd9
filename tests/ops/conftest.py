import asyncio
import uuid
from collections.abc import Iterator

import pytest

from ops.tables import admin_client
from ops.topics_admin import apply
from topics.connection import KafkaConnection


@pytest.fixture
def connection(kafka_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaConnection]:
    """The real Kafka with topics of the test's own, which the environment names too."""
    prefix = f"test-ops-{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", prefix)
    connection = KafkaConnection.from_environment()
    asyncio.run(apply(connection))
    yield connection
    asyncio.run(_delete_topics(connection))


async def _delete_topics(connection: KafkaConnection) -> None:
    async with admin_client(connection) as admin:
        prefix = connection.topic_prefix
        await admin.delete_topics([t for t in await admin.list_topics() if t.startswith(prefix)])
