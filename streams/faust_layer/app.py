"""Installs the layer on an app, and answers what the roles ask of Faust."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, EventT, StreamT
from faust.types.tables import TableT
from faust.types.tuples import ConsumerMessage

from streams.faust_layer.batch import Arrival, single
from streams.faust_layer.channels import BatchTable, BatchTopic, PromptTables
from streams.faust_layer.consumer import BatchConsumer
from streams.faust_layer.producer import BATCH_BYTES, BatchProducer

SETTINGS: dict[str, Any] = {
    "Topic": BatchTopic,
    "Table": BatchTable,
    "TableManager": PromptTables,
    "producer_max_batch_size": BATCH_BYTES,
    "stream_buffer_maxsize": 16,  # messages, each of them a batch
}
"""What an app that gets the layer is made with."""


class BatchTransport(driver.Transport):
    """Faust's Kafka transport with our consumer and producer."""

    Consumer = BatchConsumer
    Producer = BatchProducer
    is_patient = False
    """Whether a fetch waits a little for more records."""


class BatchApp(faust.App):
    """An app that may have something to learn before it joins its group."""

    _learn: Callable[[], Awaitable[None]] | None = None

    async def on_start(self) -> None:
        """See `faust.App`; its consumer starts, and so joins, when this has returned."""
        await super().on_start()
        if self._learn:
            await self._learn()

    def before_joining(self, do: Callable[[], Awaitable[None]]) -> None:
        """Have `do` awaited before the worker joins its group: until then no partition is its."""
        self._learn = do


def install(app: faust.App, *, is_patient: bool) -> None:
    """Put the layer into an app that was made with `SETTINGS` and has not started yet.

    `is_patient`: a fetch waits a little for more, which spares a busy consumer most of its work.
    """
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    app.transport.is_patient = is_patient
    app.producer_transport = BatchTransport(app.conf.broker_producer, app)
    _connect(app.on_rebalance_complete, lambda: app.consumer.stop_flow())
    app.boot_strategy.enable_web = False


def when_revoked(app: faust.App, do: Callable[[], None]) -> None:
    """Have `do` called whenever partitions are taken from this worker."""
    _connect(app.on_partitions_revoked, do)


def when_assigned(app: faust.App, do: Callable[[], None]) -> None:
    """Have `do` called whenever the group has given this worker its partitions, maybe none."""
    _connect(app.on_partitions_assigned, do)


def when_recovered(app: faust.App, do: Callable[[], None]) -> None:
    """Have `do` called whenever a rebalance is over and the Tables stand."""
    _connect(app.on_rebalance_complete, do)


def before_shutdown(app: faust.App, do: Callable[[], Awaitable[None]]) -> None:
    """Have `do` awaited when the worker was told to stop, while everything still runs."""

    async def receive(*_: object, **__: object) -> None:
        await do()

    app.on_before_shutdown.connect(receive, weak=False)


def _connect(signal: Any, do: Callable[[], None]) -> None:
    async def receive(*_: object, **__: object) -> None:
        do()

    signal.connect(receive, weak=False)


async def batches(stream: StreamT[Any]) -> AsyncIterator[EventT[Any]]:
    """The batches of an agent's stream, none of which Faust acks by itself."""
    async for event in stream.noack().events():  # type: ignore[attr-defined]
        yield event


async def records(stream: StreamT[Any]) -> AsyncIterator[Arrival]:
    """The records of an agent's stream one by one, none of which Faust acks by itself."""
    async for event in stream.noack().events():  # type: ignore[attr-defined]
        message = event.message
        for record in message.value.records:
            yield Arrival(single(message, record))


def ack_offset(app: faust.App, tp: TP, offset: int) -> None:
    """Ack everything up to an offset: the messages need not be kept for that."""
    nobody = ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, None, None, None, None, tp=tp)
    app.consumer.ack(nobody)


def generation_of(app: faust.App) -> int:
    """The consumer group's generation as this worker knows it; it changes with each rebalance."""
    return app.consumer_generation_id


def member_id_of(app: faust.App) -> str:
    """By what the broker knows this worker in its group; empty while it is no member."""
    consumer: Any = app.consumer
    coordinator = consumer._thread._consumer._coordinator  # noqa: SLF001 - Faust does not tell
    return str(coordinator.member_id or "")


def is_settled(app: faust.App) -> bool:
    """Whether the group has told this worker its partitions, maybe none, and its Tables stand."""
    inner: Any = app
    is_recovered: bool = inner.tables.recovery.completed.is_set()
    return is_recovered and not inner.rebalancing and bool(inner.consumer.flow_active)


async def positions(app: faust.App) -> dict[TP, int]:
    """The next offset to fetch of each source partition this worker holds."""
    consumer: Any = app.consumer
    held = [tp for tp in consumer.assignment() if not consumer._is_changelog_tp(tp)]  # noqa: SLF001 - tells changelogs apart
    found = {tp: await consumer.position(tp) for tp in held}
    return {tp: position for tp, position in found.items() if position is not None}


def owns(app: faust.App, table: TableT[Any, Any], partition: int) -> bool:
    """Whether this worker holds the partition of a table just now."""
    changelog = table.changelog_topic.get_topic_name()
    return TP(changelog, partition) in app.assignor.assigned_actives()
