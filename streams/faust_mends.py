"""The only module that knows Faust's internals: what we mend, and why.

Faust 0.15.3 loses events at start-up and rebalance below an agent's code (docs/decisions/0002):

    fault                                            mend
    recovery resumes the fetcher before it seeks:    `hold_flow_until_seek` stops the flow when the
    events are cleared, the jump counts as acked     rebalance completes; Faust resumes it after
                                                     the seek
    no seek where nothing is committed yet: what     `SeekingConsumer` seeks those partitions to
    was fetched and dropped is gone                  their beginning
    plain producers repeat and reorder on retry      `IdempotentProducer` turns idempotence on
    the client loses topics (`topics.producer`)      and has a producer that keeps track of them

`tests/integration/test_faust_mends.py` fails when an upgrade moves what we lean on.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, EventT, StreamT
from faust.types.tables import TableT
from faust.types.tuples import ConsumerMessage

from topics.producer import Producer


class SeekingConsumer(driver.Consumer):
    """A consumer that knows where to start in a partition nobody committed yet."""

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning where there are none."""
        await super().perform_seek()
        fresh = [tp for tp in self.assignment() if self._is_fresh(tp)]
        earliest = await self.earliest_offsets(*fresh) if fresh else {}
        for tp, offset in earliest.items():
            self._committed_offset[tp] = None
            await self.seek(tp, offset)

    def _is_fresh(self, tp: TP) -> bool:
        return not self._is_changelog_tp(tp) and (self._committed_offset.get(tp) or 0) <= 0


class IdempotentProducer(driver.Producer):
    """A producer whose retries neither repeat nor reorder records."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    @property
    def _producer_type(self) -> type[Producer]:
        return Producer


class MendedTransport(driver.Transport):
    """Faust's Kafka transport with the mended consumer and producer."""

    Consumer = SeekingConsumer
    Producer = IdempotentProducer


def mend(app: faust.App) -> None:
    """Install every mend on an app that has not started yet."""
    app.transport = MendedTransport(app.conf.broker_consumer, app)
    app.producer_transport = MendedTransport(app.conf.broker_producer, app)
    _connect(app.on_rebalance_complete, lambda: app.consumer.stop_flow())
    app.boot_strategy.enable_web = False


def when_revoked(app: faust.App, do: Callable[[], None]) -> None:
    """Have `do` called whenever partitions are taken from this worker."""
    _connect(app.on_partitions_revoked, do)


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


def records(stream: StreamT[Any]) -> AsyncIterator[EventT[Any]]:
    """The records of an agent's stream, none of which Faust acks by itself."""
    events: AsyncIterator[EventT[Any]] = stream.noack().events()  # type: ignore[attr-defined]
    return events


def ack_offset(app: faust.App, tp: TP, offset: int) -> None:
    """Ack a record by its place alone: the event it came in need not be kept for that."""
    nobody = ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, None, None, None, None, tp=tp)
    app.consumer.ack(nobody)


def generation_of(app: faust.App) -> int:
    """The consumer group's generation as this worker knows it; it changes with each rebalance."""
    return app.consumer_generation_id


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
