"""What streams/faust_mends.py leans on is still there, in the Faust that is pinned."""

import inspect
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaProducer
from faust.tables.recovery import Recovery
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams import faust_mends
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
    assert isinstance(consumer, faust_mends.SeekingConsumer)
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


def test_the_mended_transport_is_the_one_in_use(app: faust.App) -> None:
    transport, producers = app.transport, app.producer_transport

    assert isinstance(transport, faust_mends.MendedTransport)
    assert isinstance(producers, faust_mends.MendedTransport)
    assert transport.Consumer is faust_mends.SeekingConsumer
    assert producers.Producer is faust_mends.IdempotentProducer


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
    consumer._set_active_tps({tp})
    app._consumer = consumer
    consumer._committed_offset[tp] = None
    for offset in range(3):
        consumer.track_message(message(tp, offset))

    for offset in range(3):
        faust_mends.ack_offset(app, tp, offset)

    assert list(consumer._acked[tp]) == [0, 1, 2]
    assert consumer._new_offset(tp) == 3


def test_a_commit_still_skips_what_was_not_acked(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why only a finished prefix may be acked (docs/decisions/0002). If it fails, think again."""
    monkeypatch.setattr(app.topics, "acks_enabled_for", lambda _: True)
    tp = TP("t-npc-snapshots", 3)
    consumer = new_consumer(app)
    consumer._set_active_tps({tp})
    consumer._committed_offset[tp] = None

    for offset in (5, 6, 7):
        consumer.ack(message(tp, offset))

    assert consumer._new_offset(tp) == 8


def message(tp: TP, offset: int) -> ConsumerMessage:
    return ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, [], b"k", b"v", None, tp=tp)


async def test_a_stream_without_acks_gives_events(app: faust.App) -> None:
    stream: Any = app.stream(app.topic("t-npc-snapshots", value_type=bytes))

    events = faust_mends.records(stream)

    assert hasattr(events, "__anext__")
    assert stream._next.enable_acks is False


async def test_revocation_and_shutdown_are_heard(app: faust.App) -> None:
    heard = []

    async def drain() -> None:
        heard.append("shutdown")

    faust_mends.when_revoked(app, lambda: heard.append("revoked"))
    faust_mends.before_shutdown(app, drain)
    await app.on_partitions_revoked.send(set())
    await app.on_before_shutdown.send()

    assert heard == ["revoked", "shutdown"]


def test_the_places_that_tell_ownership_are_there(app: faust.App) -> None:
    table = app.Table("groups", key_type=bytes, value_type=bytes, partitions=8)

    assert app.assignor.assigned_actives() == set()
    assert not faust_mends.owns(app, table, 3)
    assignment: Any = app.assignor
    assignment._assignment.actives[table.changelog_topic.get_topic_name()] = [3]
    assert faust_mends.owns(app, table, 3)
    assert faust_mends.generation_of(app) == 0
