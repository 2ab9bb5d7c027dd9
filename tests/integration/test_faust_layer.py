"""What streams/faust_layer leans on is still there, in the Faust and aiokafka that are pinned."""

import asyncio
import inspect
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.services import Service

from streams.faust_layer import app as layer
from streams.faust_layer import consumer as fetching
from streams.faust_layer.batch import Batch
from streams.faust_layer.channels import BatchTable, BatchTopic, raw_table, raw_topic
from streams.faust_layer.consumer import BatchConsumer
from streams.faust_layer.parsed import AsParsed
from streams.faust_layer.producer import BATCH_BYTES, FEW, BatchProducer, Outgoing
from streams.home import home_of
from streams.settings import Settings
from streams.topology import Role, new_app
from topics.connection import KafkaConnection
from topics.producer import Producer

pytestmark = pytest.mark.integration


@pytest.fixture
def app(tmp_path: Path) -> faust.App:
    connection = KafkaConnection(broker="kafka://127.0.0.1:1", topic_prefix="t-")
    return new_app(Role.FILTER, Settings(data_dir=tmp_path), connection, wait_empty=True)


def new_consumer(app: faust.App) -> Any:
    consumer: Any = app._new_consumer()
    assert isinstance(consumer, BatchConsumer)
    return consumer


def parameters(of: Any) -> list[str]:
    return list(inspect.signature(of).parameters)


def test_faust_is_the_one_that_was_measured() -> None:
    assert faust.__version__ == "0.15.3"


@pytest.mark.parametrize(
    ("owner", "method", "expected"),
    [
        (driver.Consumer, "perform_seek", ["self"]),
        (driver.Consumer, "seek", ["self", "partition", "offset"]),
        (driver.Consumer, "earliest_offsets", ["self", "partitions"]),
        (driver.Consumer, "assignment", ["self"]),
        (driver.Consumer, "stop_flow", ["self"]),
        (driver.Consumer, "resume_flow", ["self"]),
        (driver.Consumer, "ack", ["self", "message"]),
        (driver.Consumer, "_is_changelog_tp", ["self", "tp"]),
        (driver.Producer, "_settings_extra", ["self"]),
        (driver.Producer, "_new_producer", ["self", "transactional_id"]),
        (Recovery, "on_recovery_completed", ["self", "generation_id"]),
    ],
)
def test_a_method_is_there_with_its_signature(owner: Any, method: str, expected: list[str]) -> None:
    assert parameters(getattr(owner, method)) == expected


def test_the_consumer_seeks_to_what_was_committed_and_keeps_it_by_partition() -> None:
    source = inspect.getsource(base.Consumer.perform_seek)

    assert "seek_to_committed" in source
    assert "_read_offset" in source
    assert "self._committed_offset = ensure_TPset" not in source
    assert "_committed_offset" in inspect.getsource(base.Consumer)


def test_recovery_still_resumes_the_flow_only_after_the_seek() -> None:
    """The mend stops the flow on `on_rebalance_complete`; this is what starts it again."""
    source = inspect.getsource(Recovery.on_recovery_completed)

    assert source.index("perform_seek") < source.index("consumer.resume_flow()")


def test_a_rebalance_still_tells_when_it_is_complete(app: faust.App) -> None:
    assert {"on_rebalance_complete", "on_partitions_revoked", "on_before_shutdown"} <= set(dir(app))
    assert "on_rebalance_complete.send" in inspect.getsource(Recovery)


def test_our_transport_is_the_one_in_use(app: faust.App) -> None:
    transport, producers = app.transport, app.producer_transport

    assert isinstance(transport, layer.BatchTransport)
    assert isinstance(producers, layer.BatchTransport)
    assert transport.Consumer is BatchConsumer
    assert producers.Producer is BatchProducer


async def test_the_producer_is_idempotent_waits_for_all_and_tracks_its_topics(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def note(_self: Any, **options: Any) -> None:
        given.update(options)

    monkeypatch.setattr(AIOKafkaProducer, "__init__", note)
    producer: Any = app.producer_transport.create_producer()

    made = producer._new_producer()

    assert isinstance(made, Producer)
    assert (given["acks"], given["enable_idempotence"]) in {("all", True), (-1, True)}
    assert given["max_request_size"] >= 2 * 2**20


async def test_no_web_server_is_started(app: faust.App) -> None:
    assert app.boot_strategy.enable_web is False
    assert app.conf.web_enabled is False


async def test_a_seek_goes_to_the_beginning_where_nothing_is_committed(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, zero, known = (TP("t-npc-snapshots", number) for number in range(3))
    changelog = TP("t-groups-changelog", 0)
    consumer = new_consumer(app)
    consumer._committed_offset.update({zero: 0, known: 17})
    sought: dict[TP, int] = {}

    async def nothing(*_: Any) -> None:
        return None

    async def earliest(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 5)

    async def seek(tp: TP, offset: int) -> None:
        sought[tp] = offset

    monkeypatch.setattr(driver.Consumer, "perform_seek", nothing)
    monkeypatch.setattr(consumer, "assignment", lambda: {fresh, zero, known, changelog})
    monkeypatch.setattr(consumer, "_is_changelog_tp", lambda tp: tp == changelog)
    monkeypatch.setattr(consumer, "earliest_offsets", earliest)
    monkeypatch.setattr(consumer, "seek", seek)

    await consumer.perform_seek()

    assert sought == {fresh: 5, zero: 5}


def test_an_ack_needs_no_more_of_a_message_than_its_place(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.topics, "acks_enabled_for", lambda _: True)
    tp = TP("t-npc-snapshots", 3)
    consumer = new_consumer(app)
    app._consumer = consumer
    messages = [message(tp, offset) for offset in (9, 19, 29)]
    for one in messages:
        consumer.track_message(one)

    layer.ack_offset(app, tp, 19)

    assert [29] == [one.offset for one in consumer.unacked]
    assert [tp] == list(consumer._filter_tps_with_pending_acks())
    assert consumer._new_offset(tp) == 20
    assert [] == list(consumer._filter_tps_with_pending_acks())


def test_what_is_not_acked_is_not_committed_whatever_comes_behind_it(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.topics, "acks_enabled_for", lambda _: True)
    tp = TP("t-npc-snapshots", 3)
    consumer = new_consumer(app)

    consumer.ack(message(tp, 7))
    consumer.ack(message(tp, 5))

    assert {tp: 8} == consumer._filter_committable_offsets([tp])
    assert {} == consumer._filter_committable_offsets([tp])


def test_a_changelog_is_never_committed(app: faust.App) -> None:
    tp = TP("t-groups-changelog", 3)
    consumer = new_consumer(app)

    assert not consumer.ack(message(tp, 7))
    assert [] == list(consumer._filter_tps_with_pending_acks())


async def test_what_was_revoked_is_not_committed_any_more(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.topics, "acks_enabled_for", lambda _: True)
    revoked, kept = (TP("t-npc-snapshots", number) for number in (1, 2))
    consumer = new_consumer(app)

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    for tp in (revoked, kept):
        consumer.ack(message(tp, 5))

    await consumer.on_partitions_revoked({revoked})

    assert [kept] == list(consumer._filter_tps_with_pending_acks())


async def fetched(consumer: Any, records: dict[Any, Any], active: Any) -> list[Any]:
    async def next_records(_timeout: float) -> Any:
        return records, active

    consumer._wait_next_records = next_records
    return [one async for one in consumer.getmany(timeout=1.0)]


def stored(offset: int, value: bytes = b"v") -> Any:
    return SimpleNamespace(offset=offset, timestamp=1500, timestamp_type=0, key=b"k", value=value)


async def test_what_was_fetched_of_a_partition_is_one_message_of_its_last_offset(
    app: faust.App,
) -> None:
    tp, other = TopicPartition("t-npc-snapshots", 3), TopicPartition("t-npc-snapshots", 4)
    records = [stored(7), stored(9)]

    found = await fetched(new_consumer(app), {tp: records, other: [stored(1)]}, {TP(*tp)})

    [(where, message)] = found
    assert (TP(*tp), 9, 1.5) == (where, message.offset, message.timestamp)
    assert Batch(records) == message.value


@pytest.mark.parametrize("stopped", [True, False])
async def test_nothing_is_handed_over_while_the_flow_is_stopped(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    consumer, sought = new_consumer(app), []

    async def seek() -> None:
        sought.append(True)

    monkeypatch.setattr(consumer, "perform_seek", seek)
    consumer.flow_active = not stopped
    tp = TopicPartition("t-npc-snapshots", 3)

    found = await fetched(consumer, {tp: [stored(7)]}, None)

    assert (stopped, not stopped) == (bool(sought), bool(found))


async def test_a_fetch_waits_for_a_few_records_more(app: faust.App) -> None:
    consumer = new_consumer(app)

    client = consumer._new_consumer_thread()._create_worker_consumer(app.transport)

    assert client._fetch_min_bytes == fetching.FETCH_BYTES
    assert client._fetch_max_wait_ms == fetching.FETCH_WAIT * 1000
    transport: Any = app.transport
    transport.is_patient = False
    other = consumer._new_consumer_thread()._create_worker_consumer(transport)
    assert other._fetch_min_bytes == 1
    source = inspect.getsource(AIOKafkaConsumer.start)
    assert "fetch_min_bytes=self._fetch_min_bytes" in source
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in source


def test_records_are_handed_over_as_the_client_has_parsed_them() -> None:
    tp = TopicPartition("t-x", 3)
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1000,
    )
    builder.append(0, 1500, b"k", b"v", [("trace", b"x")])
    parsed = MemoryRecords(bytes(builder.build()))
    records = PartitionRecords(tp, parsed, [], 0, None, None, True, 0)
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda _: None)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    there = AsParsed()

    there[tp] = FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)
    [record] = there[tp].getall()

    assert not isinstance(record, ConsumerRecord)
    assert (0, 1500, b"k", b"v") == (record.offset, record.timestamp, record.key, record.value)
    assert [("trace", b"x")] == record.headers
    source = inspect.getsource(Fetcher)
    assert "self._records = collections.OrderedDict()" in source
    assert "self._records[tp] = FetchResult(" in source


async def test_the_thread_of_the_client_takes_records_so_from_its_start(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = SimpleNamespace(_fetcher=SimpleNamespace(_records=None))
    thread: Any = new_consumer(app)._new_consumer_thread()
    thread._consumer = client

    async def nothing(_: Any) -> None:
        return None

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", nothing)
    await thread.on_start()

    assert isinstance(client._fetcher._records, AsParsed)


def test_a_key_belongs_where_the_client_would_send_it(app: faust.App) -> None:
    producer: Any = app.producer_transport.create_producer()
    metadata = SimpleNamespace(
        partitions_for_topic=lambda _: set(range(8)),
        available_partitions_for_topic=lambda _: set(range(8)),
    )
    producer._producer = SimpleNamespace(_metadata=metadata, _partitioner=DefaultPartitioner())

    where = producer.places("t-x")

    keys = [f"npc-{number}" for number in range(100)]
    assert [home_of(key) for key in keys] == [where(key.encode()) for key in keys]
    assert where(None) in range(8)
    assert "self._partitioner(serialized_key" in inspect.getsource(AIOKafkaProducer._partition)


@pytest.mark.parametrize("method", ["ack", "_new_offset", "_filter_tps_with_pending_acks"])
def test_faust_still_commits_by_the_methods_that_are_replaced(method: str) -> None:
    assert method in vars(base.Consumer)
    assert "_new_offset(tp)" in inspect.getsource(base.Consumer._filter_committable_offsets)
    assert "_filter_tps_with_pending_acks" in inspect.getsource(base.Consumer.force_commit)
    assert "_unacked_messages" in inspect.getsource(base.Consumer.wait_empty)


def test_topics_and_tables_of_an_app_are_ours(app: faust.App) -> None:
    topic, table = raw_topic(app, "t-x"), raw_table(app, "groups", 8, "about")

    assert isinstance(topic, BatchTopic)
    assert isinstance(table, BatchTable)


async def test_a_batch_passes_through_topic_and_changelog_untouched(app: faust.App) -> None:
    table = raw_table(app, "groups", 8, "about")
    batch = Batch([stored(7)])
    for topic in (raw_topic(app, "t-npc-snapshots"), table.changelog_topic):
        message = ConsumerMessage("t", 3, 7, 0.0, 0, None, None, batch, None, 0, 1)  # type: ignore[arg-type]

        event = await topic.decode(message)

        value: Any = event.message.value
        assert value is batch


def test_recovery_applies_batches_to_a_table_and_drops_what_was_deleted(app: faust.App) -> None:
    table = raw_table(app, "groups", 8, "about")
    told: dict[int, list[Any]] = {
        3: [SimpleNamespace(key=b"a", value=b"1"), SimpleNamespace(key=b"a", value=None)],
        4: [SimpleNamespace(key=b"b", value=b"2"), SimpleNamespace(key=b"b", value=b"3")],
    }
    table.on_start  # noqa: B018 - a Service; its data is made on first use
    events = [
        SimpleNamespace(message=SimpleNamespace(value=Batch(records), partition=partition))
        for partition, records in told.items()
    ]

    table.apply_changelog_batch(events)

    assert {b"b": b"3"} == dict(table.data.items())
    store: Any = table.data
    assert {b"b": 4} == store._key_partition


def test_recovery_still_applies_what_it_buffers_and_counts_by_offsets() -> None:
    source = inspect.getsource(Recovery)

    assert "offsets[tp] = offset" in source
    assert "table.apply_changelog_batch(buf)" in source


def test_recovery_takes_in_what_it_has_fetched_and_keeps_little_of_it(app: faust.App) -> None:
    table = raw_table(app, "groups", 8, "about")

    assert table.recovery_buffer_size == 2
    source = inspect.getsource(Recovery)
    assert "table.recovery_buffer_size" in source
    assert "recovery_buffer_size == 1" in source  # with one it would never stop reading


def held_offsets(app: faust.App) -> Any:
    tables: Any = app.tables
    return tables.recovery.active_offsets


async def changed(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, offset: int, count: int
) -> BatchTable:
    """A Table after so many changes of partition 3, of which the first stands at an offset."""
    table = raw_table(app, "groups", 8, "about")
    delivery: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def send_many(*_: Any) -> list[Any]:
        return [delivery]

    monkeypatch.setattr(app, "_producer", SimpleNamespace(send_many=send_many))
    changes = [(3, b"npc-%d" % number, b"state") for number in range(count)]
    await table.send_changelogs(changes)
    delivery.set_result(SimpleNamespace(offset=offset))
    await asyncio.sleep(0)
    return table


@pytest.mark.parametrize(
    ("held", "offset", "count", "expected"),
    [
        (9, 10, 5, 14),  # right behind what is held
        (-1, 0, 5, 4),  # the changelog was empty
        (9, 11, 5, 9),  # somebody else wrote in between: it has to be read
        (None, 10, 5, None),  # the partition is not ours, or not recovered yet
        (20, 10, 5, 20),
        (3, -1, 100, 3),  # the broker had it already, and does not tell where
    ],
)
async def test_a_rebalance_does_not_read_again_what_we_wrote_ourselves(
    app: faust.App,
    monkeypatch: pytest.MonkeyPatch,
    held: int | None,
    offset: int,
    count: int,
    expected: int | None,
) -> None:
    tp = TP("t-rollcall-filter-groups-changelog", 3)
    held_offsets(app)[tp] = held

    await changed(app, monkeypatch, offset, count)

    assert held_offsets(app)[tp] == expected


async def test_what_we_wrote_goes_with_its_partition(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = await changed(app, monkeypatch, 0, 2)
    store: Any = table.data
    store.data.update({b"npc-0": b"state", b"npc-1": b"state"})

    await store.on_recovery_completed({TP("t-rollcall-filter-groups-changelog", 3)}, set())
    kept = len(store.data)
    await store.on_recovery_completed({TP("t-rollcall-filter-groups-changelog", 4)}, set())

    assert (2, 0) == (kept, len(store.data))


def test_recovery_still_goes_on_from_what_is_held() -> None:
    """`active_offsets` says so: kept for partitions that stay, dropped for those that go."""
    source = inspect.getsource(Recovery)

    assert "offsets.setdefault(tp, None)" in inspect.getsource(Recovery._add)
    assert "self.active_offsets.pop(tp, None)" in inspect.getsource(Recovery.revoke)
    assert "max(last_value, new_value)" in inspect.getsource(Recovery._build_offsets)
    assert "highwater - offsets[tp]" in source


async def test_a_worker_learns_before_its_consumer_starts(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    async def start(_self: Any) -> None:
        heard.append("app")

    async def learn() -> None:
        heard.append("learnt")

    monkeypatch.setattr(faust.App, "on_start", start)
    app.before_joining(learn)

    await app.on_start()

    assert heard == ["app", "learnt"]
    source = inspect.getsource(Service._actually_start)
    assert source.index("await self.on_start()") < source.index("await child.maybe_start()")


async def test_tables_begin_with_the_agents(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def note(what: str) -> Any:
        async def noted(*_: Any) -> None:
            heard.append(what)

        return noted

    monkeypatch.setattr(app.agents, "wait_until_agents_started", note("agents"))
    monkeypatch.setattr(app.tables, "_update_channels", note("channels"))
    monkeypatch.setattr(app.tables.recovery, "start", note("recovery"))

    await app.tables.on_start()

    assert heard == ["agents", "channels", "recovery"]
    stock = inspect.getsource(TableManager.on_start)
    assert "self._update_channels()" in stock
    assert "self.recovery.start()" in stock


def test_a_changelog_is_made_compacted_and_with_small_segments(app: faust.App) -> None:
    topic: Any = raw_table(app, "groups", 8, "about").changelog_topic

    assert topic.compacting
    assert topic.config["segment.bytes"] == 4 * 2**20


def test_no_standby_is_kept(app: faust.App) -> None:
    assert app.conf.table_standby_replicas == 0


def test_the_id_of_a_member_is_where_it_is_looked_for(app: faust.App) -> None:
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(AIOKafkaConsumer)
    assert "self.member_id = " in inspect.getsource(GroupCoordinator)
    consumer = new_consumer(app)
    app._consumer = consumer
    consumer._thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(member_id="m-1"))

    assert layer.member_id_of(app) == "m-1"


async def test_many_records_go_out_in_batches_in_their_order(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int, list[bytes]]] = []
    producer: Any = app.producer_transport.create_producer()

    class Builder:
        def __init__(self) -> None:
            self.values: list[bytes] = []

        def append(self, *, timestamp: Any, key: Any, value: bytes, headers: Any) -> Any:
            is_full = self.values and sum(map(len, self.values)) + len(value) > BATCH_BYTES
            if is_full:
                return None
            self.values.append(value)
            return "added"

        def record_count(self) -> int:
            return len(self.values)

    class Client:
        create_batch = Builder

        async def send_batch(self, builder: Builder, topic: str, *, partition: int) -> str:
            sent.append((topic, partition, builder.values))
            return f"delivery {len(sent)}"

    monkeypatch.setattr(producer, "_producer", Client())
    large = [b"%d" % number * (BATCH_BYTES // 2 + 1) for number in range(2)]
    values = [b"a", *large, b"x" * (2 * BATCH_BYTES), *[b"b"] * FEW]

    handed_over = await producer.send_many("t-x", 5, [Outgoing(b"k", one) for one in values])

    assert values == [one for _, _, some in sent for one in some]
    assert {("t-x", 5)} == {one[:2] for one in sent}
    assert len(handed_over) == len(sent) > 1


def message(tp: TP, offset: int) -> ConsumerMessage:
    return ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, [], b"k", b"v", None, tp=tp)


async def test_a_stream_without_acks_gives_events(app: faust.App) -> None:
    stream: Any = app.stream(app.topic("t-npc-snapshots", value_type=bytes))

    events = layer.records(stream)

    assert hasattr(events, "__anext__")
    assert stream.noack().enable_acks is False


async def test_revocation_and_shutdown_are_heard(app: faust.App) -> None:
    heard = []

    async def drain() -> None:
        heard.append("shutdown")

    layer.when_revoked(app, lambda: heard.append("revoked"))
    layer.before_shutdown(app, drain)
    await app.on_partitions_revoked.send(set())
    await app.on_before_shutdown.send()

    assert heard == ["revoked", "shutdown"]


def test_the_places_that_tell_ownership_are_there(app: faust.App) -> None:
    table = app.Table("groups", key_type=bytes, value_type=bytes, partitions=8)

    assert app.assignor.assigned_actives() == set()
    assert not layer.owns(app, table, 3)
    assignment: Any = app.assignor
    assignment._assignment.actives[table.changelog_topic.get_topic_name()] = [3]
    assert layer.owns(app, table, 3)
    assert layer.generation_of(app) == 0


async def test_a_few_records_share_batches_with_those_of_others(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Any, ...]] = []
    producer: Any = app.producer_transport.create_producer()

    class Client:
        async def send(self, topic: str, value: bytes, **options: Any) -> str:
            sent.append((topic, value, options["partition"], options["headers"]))
            return f"delivery {len(sent)}"

    monkeypatch.setattr(producer, "_producer", Client())
    records = [Outgoing(b"k", b"%d" % at, [("trace", b"x")]) for at in range(FEW)]

    handed_over = await producer.send_many("t-x", 5, records)

    assert [("t-x", b"%d" % at, 5, [("trace", b"x")]) for at in range(FEW)] == sent
    assert [f"delivery {at + 1}" for at in range(FEW)] == handed_over


async def test_what_is_handed_over_in_one_step_leaves_at_once_and_together(app: faust.App) -> None:
    """The sender runs when the step is over, and it waits for no more to come."""
    producer: Any = app.producer_transport.create_producer()
    linger = producer._settings_default()["linger_ms"]
    cluster = SimpleNamespace(leader_for_partition=lambda _: 0)
    accumulator = MessageAccumulator(cluster, BATCH_BYTES, 0, 30, linger_ms=linger)
    places = [TopicPartition("t-x", number) for number in range(3)]

    waits = [_waits(accumulator.add_message(tp, b"k", b"v", 30)) for tp in places]

    assert [False, False, False] == waits
    requests, _ = accumulator.drain_by_nodes(ignore_nodes=set())
    assert [places] == [list(one) for one in requests.values()]


def _waits(call: Coroutine[Any, Any, object]) -> bool:
    """Whether a call gives way to others before it ends."""
    try:
        call.send(None)
    except StopIteration:
        return False
    call.close()
    return True
