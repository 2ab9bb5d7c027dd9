"""aiokafka's producer without its lost topics.

aiokafka 0.14.0 asks for the metadata of all topics while it tracks none, and of the tracked ones
from the first new topic on. A topic that it knows from an answer about all is never tracked: when
the next new topic narrows the answers down, the leader of the first one is unknown for ever, and
what waits for it is not sent (docs/decisions/0012). `Producer` tracks a topic before it sends.
"""

from typing import Any

from aiokafka import AIOKafkaProducer


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """A producer that keeps track of every topic it sends to."""

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        """See `AIOKafkaProducer.send`."""
        await self._track(topic)
        return await super().send(topic, *args, **kwargs)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        """See `AIOKafkaProducer.send_batch`."""
        await self._track(topic)
        return await super().send_batch(batch, topic, partition=partition)

    async def know(self, topic: str) -> None:
        """Learn how many partitions a topic has. Raises a KafkaError where nobody says so."""
        await self._track(topic)
        await self.client._wait_on_metadata(topic)  # noqa: SLF001 - as its own `send` does

    async def abandon(self) -> None:
        """Stop without what is not sent yet, where `stop` would wait for a broker that is away."""
        await self._sender.close()
        await self.client.close()

    async def _track(self, topic: str) -> None:
        if topic not in self.client._topics:  # noqa: SLF001 - there is no other way to ask
            await self.client.add_topic(topic)
