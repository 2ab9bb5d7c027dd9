"""A producer whose retries neither repeat nor reorder records, and that sends many at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as driver

from topics.producer import Producer

BATCH_BYTES = 256 * 1024
"""Bytes of a producer batch; the broker takes 1 MiB."""


FEW = 10
"""Records of one partition that are no batch of their own."""


class Outgoing(NamedTuple):
    """A record to send."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class BatchProducer(driver.Producer):
    """Faust's producer with idempotence, and with `send_many`."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    @property
    def _producer_type(self) -> type[Producer]:
        return Producer

    def places(self, topic: str) -> Callable[[bytes | None], int]:
        """Says where a key of a topic that is known belongs just now: Kafka's default."""
        producer = self._ensure_producer()
        metadata = producer._metadata  # noqa: SLF001 - `key_partition` asks it for each record
        there = list(metadata.partitions_for_topic(topic))
        available = list(metadata.available_partitions_for_topic(topic))
        choose: Callable[[bytes | None, list[int], list[int]], int] = producer._partitioner  # noqa: SLF001 - as above
        return lambda key: choose(key, there, available)

    async def know(self, topic: str) -> None:
        """Learn a topic's partitions, which `places` chooses from. ProducerSendError."""
        try:
            await self._ensure_producer().know(topic)
        except KafkaError as error:
            raise ProducerSendError(f"{topic} is not known: {error!r}") from error

    async def send_many(self, topic: str, partition: int, records: Sequence[Outgoing]) -> list[Any]:
        """Hand over records of one partition, in order; futures that say when all are delivered.

        A few go the way of single records, where those of many callers share a batch: a batch of
        one's own waits until the one before has left, and those who wait together may wait long.
        """
        send = self._send_each if len(records) <= FEW else self._send_batches
        try:
            return await send(topic, partition, records)
        except KafkaError as error:
            raise ProducerSendError(f"Error while sending: {error!r}") from error

    async def _send_each(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> list[Any]:
        producer = self._ensure_producer()
        return [
            await producer.send(
                topic,
                record.value,
                key=record.key,
                partition=partition,
                headers=list(record.headers),
            )
            for record in records
        ]

    async def _send_batches(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> list[Any]:
        producer, handed_over = self._ensure_producer(), list[Any]()
        builder = producer.create_batch()
        for record in records:
            if not _appended(builder, record):
                handed_over.append(await self._sent(builder, topic, partition))
                builder = producer.create_batch()
                _appended(builder, record)
        handed_over.append(await self._sent(builder, topic, partition))
        return handed_over

    async def _sent(self, builder: Any, topic: str, partition: int) -> Any:
        return await self._ensure_producer().send_batch(builder, topic, partition=partition)


def _appended(builder: Any, record: Outgoing) -> bool:
    """Whether there was room: a batch takes its first record however large that is."""
    added = builder.append(
        timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
    )
    return added is not None
