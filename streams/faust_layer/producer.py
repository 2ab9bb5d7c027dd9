"""A producer whose retries neither repeat nor reorder records, and that sends many at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as driver

from topics.producer import Producer

BATCH_BYTES = 256 * 1024
"""Bytes of a producer batch; the broker takes 1 MiB."""


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

    async def know(self, topic: str) -> None:
        """Learn a topic's partitions, which `key_partition` chooses from. ProducerSendError."""
        try:
            await self._ensure_producer().know(topic)
        except KafkaError as error:
            raise ProducerSendError(f"{topic} is not known: {error!r}") from error

    async def send_many(self, topic: str, partition: int, records: Iterable[Outgoing]) -> list[Any]:
        """Hand over records of one partition, in order; one future for each producer batch."""
        producer, handed_over = self._ensure_producer(), list[Any]()
        builder = producer.create_batch()
        try:
            for record in records:
                if not _appended(builder, record):
                    handed_over.append(await self._sent(builder, topic, partition))
                    builder = producer.create_batch()
                    _appended(builder, record)
            if builder.record_count():
                handed_over.append(await self._sent(builder, topic, partition))
        except KafkaError as error:
            raise ProducerSendError(f"Error while sending: {error!r}") from error
        return handed_over

    async def _sent(self, builder: Any, topic: str, partition: int) -> Any:
        return await self._ensure_producer().send_batch(builder, topic, partition=partition)


def _appended(builder: Any, record: Outgoing) -> bool:
    """Whether there was room: a batch takes its first record however large that is."""
    added = builder.append(
        timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
    )
    return added is not None
