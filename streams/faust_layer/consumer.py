"""A consumer that hands over whole batches, knows where to begin, and commits what is finished.

A message's offset is that of the last record of its batch. An ack says that everything up to its
offset is finished: `streams.barrier` acks nothing else.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from streams.faust_layer.batch import Batch
from streams.faust_layer.parsed import hand_over_as_parsed

FETCH_BYTES = 16 * 1024
"""Bytes for which a patient consumer waits, so that a busy topic is not read record by record."""

FETCH_WAIT = 0.02
"""Seconds that a fetch waits for them: how much later a record of a quiet topic is read."""


class BatchThread(driver.AIOKafkaConsumerThread):
    """The thread in which the client runs, with our way of fetching."""

    async def on_start(self) -> None:
        """See `driver.AIOKafkaConsumerThread`; nothing is assigned yet, so nothing fetched."""
        await super().on_start()
        hand_over_as_parsed(self._ensure_consumer())

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        client = super()._create_worker_consumer(transport)
        if not transport.is_patient:
            return client
        client._fetch_min_bytes = FETCH_BYTES  # noqa: SLF001 - Faust passes neither on
        client._fetch_max_wait_ms = int(FETCH_WAIT * 1000)  # noqa: SLF001 - as above
        return client


class BatchConsumer(driver.Consumer):
    """Faust's consumer, with one message for each fetched batch of a partition."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._finished: dict[TP, int] = {}
        """The offset behind the last finished record of each partition, not committed yet."""
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """One message for each partition that has something."""
        fetched, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if fetched is None or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        for partition, records in fetched.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            tp = TP(*partition)
            if records and (active is None or tp in active):
                yield tp, self._message(tp, records, generation)

    def on_buffer_full(self, tp: TP) -> None:
        """A full queue holds up the fetcher; a partition taken out would stay away for a second."""

    def _message(self, tp: TP, records: list[Any], generation: int) -> ConsumerMessage:
        last, size = records[-1], len(records)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            None,
            None,
            cast("Any", Batch(records)),
            None,
            0,
            size,
            tp,
            generation_id=generation,
        )

    async def _seek_back(self) -> None:
        """What was fetched while the flow was stopped is dropped, so it is fetched again."""
        try:
            await self.perform_seek()
        except Exception as error:  # noqa: BLE001 - as Faust does: the next rebalance seeks again
            self.log.warning("Seek failed while the flow was stopped: %r", error)

    # where to begin

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

    # acks

    def ack(self, message: Any) -> bool:
        """Everything up to a message's offset is finished."""
        if not self.app.topics.acks_enabled_for(message.topic):
            return False
        tp, behind = message.tp, message.offset + 1
        self._finished[tp] = max(behind, self._finished.get(tp, 0))
        self._n_acked += 1
        for open_message in list(self._unacked_messages):
            if open_message.tp == tp and open_message.offset < behind:
                self._unacked_messages.discard(open_message)
        notify(self._waiting_for_ack)
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What was finished of them is committed by now, or comes again elsewhere."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._finished.pop(tp, None)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets without a record are no matter: a finished prefix spans them."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        for tp in list(self._finished):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        return self._finished.pop(tp, None)
