"""The publisher without a broker: what it sends, refuses, counts and reports."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from topics import publisher as publisher_module
from topics.connection import KafkaConnection
from topics.decode import DecodeError, decode_snapshot, decode_world
from topics.models import Location, PlayerProfile, RosterEntry, Snapshot
from topics.publisher import Failure, KafkaUnavailableError, Publisher, PublishReport
from topics.roster import Roster
from topics.trace import Headers

EXAMPLES = Path(__file__).parent / "examples"
CONNECTION = KafkaConnection(broker="kafka://nowhere:1", topic_prefix="t.")
NOW = 1795426500.0


class RecordingProducer:
    """Stands in for aiokafka's producer: keeps what is sent until the test answers for it."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.headers: list[Headers] = []
        self.deliveries: list[asyncio.Future[object]] = []
        self.answers_at_once = True
        self.refusal: Exception | None = None
        self.is_stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.is_stopped = True

    async def send(
        self, topic: str, value: bytes | None, key: bytes, headers: Headers
    ) -> asyncio.Future[object]:
        if self.refusal:
            raise self.refusal
        self.sent.append((topic, key, value))
        self.headers.append(headers)
        delivery = asyncio.get_running_loop().create_future()
        self.deliveries.append(delivery)
        if self.answers_at_once:
            delivery.set_result(object())
        return delivery


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[RecordingProducer]:
    made: list[RecordingProducer] = []

    def make(**options: Any) -> RecordingProducer:
        made.append(RecordingProducer(**options))
        return made[-1]

    monkeypatch.setattr(publisher_module, "Producer", make)
    return made


@pytest_asyncio.fixture
async def publisher(producers: list[RecordingProducer]) -> AsyncIterator[Publisher]:
    async with Publisher(CONNECTION, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def producer(publisher: Publisher, producers: list[RecordingProducer]) -> RecordingProducer:
    return producers[0]


async def test_each_record_goes_to_its_topic_under_its_key(
    publisher: Publisher, producer: RecordingProducer
) -> None:
    await publisher.snapshot(Snapshot(npc_id="npc-7", observed_at=NOW))
    await publisher.profile(PlayerProfile(player_id="1001", name="Alice"))
    await publisher.roster(RosterEntry(npc_id="npc-7", name="Greta"))
    await publisher.location(Location(slug="inn", name="Inn", coordinates=(0.0, 0.0, 0.0)))
    await publisher.world({"clusters": {}}, world_id="earth")
    await publisher.delete_profile("1001")
    await publisher.delete_roster("npc-7")
    await publisher.delete_location("inn")

    assert [(topic, key, value is None) for topic, key, value in producer.sent] == [
        ("t.npc-snapshots", b"npc-7", False),
        ("t.player-profiles", b"1001", False),
        ("t.npc-roster", b"npc-7", False),
        ("t.locations", b"inn", False),
        ("t.world-snapshots", b"earth", False),
        ("t.player-profiles", b"1001", True),
        ("t.npc-roster", b"npc-7", True),
        ("t.locations", b"inn", True),
    ]


def test_the_producer_is_idempotent_and_waits_for_all_replicas(
    producer: RecordingProducer,
) -> None:
    assert producer.options == {
        "bootstrap_servers": ["nowhere:1"],
        "security_protocol": "PLAINTEXT",
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": 5,
        "request_timeout_ms": 30_000,
    }


async def test_a_record_bears_the_trace_of_the_code_that_sent_it(
    producers: list[RecordingProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with Publisher(CONNECTION) as publisher:
        await publisher.delete_roster("npc-7")
        monkeypatch.setattr("topics.trace.current", lambda: [parent])
        await publisher.delete_roster("npc-7")

    assert [[], [parent]] == producers[0].headers


async def test_a_dict_is_sent_as_it_is_with_unknown_fields(
    publisher: Publisher, producer: RecordingProducer
) -> None:
    record = {"npc_id": 7, "cluster": ["Zoë"], "weather": {"rain": True}}

    await publisher.snapshot(record)

    _, key, value = producer.sent[0]
    assert (key, json.loads(value or b"")) == (b"7", record)
    assert "Zoë".encode() in (value or b"")


async def test_a_datetime_is_sent_as_iso_8601(
    publisher: Publisher, producer: RecordingProducer
) -> None:
    seen = datetime(2026, 11, 23, 9, 33, 33, tzinfo=UTC)

    await publisher.snapshot({"npc_id": "npc-7", "observed_at": seen})

    sent = decode_snapshot(None, producer.sent[0][2] or b"", NOW)
    assert sent.observed_at == seen.timestamp()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "npc_id"),
        ({"npc_id": ""}, "npc_id: an empty id"),
        ({"npc_id": "npc-7", "observed_at": float("nan")}, "not JSON"),
        ({"npc_id": "npc-7", "position": [0, 0, float("inf")]}, "not JSON"),
        ({"npc_id": "npc-7", "observed_at": 1795426413200}, "milliseconds"),
        ({"npc_id": "npc-7", "cluster": "Alice"}, "cluster"),
        ({"npc_id": "npc-7", "cluster": ["\ud800"]}, "not JSON"),
        ({"npc_id": "npc-7", "extra": object()}, "not JSON"),
        ({"npc_id": "npc-7", "extra": "x" * 2**20}, "bytes"),
    ],
)
async def test_a_wrong_record_is_refused_and_not_sent(
    publisher: Publisher, producer: RecordingProducer, record: dict[str, Any], message: str
) -> None:
    with pytest.raises(DecodeError, match=message):
        await publisher.snapshot(record)

    assert producer.sent == []
    assert publisher.report == PublishReport()


async def test_a_record_that_contains_itself_is_refused(publisher: Publisher) -> None:
    record: dict[str, Any] = {"npc_id": "npc-7"}
    record["self"] = record

    with pytest.raises(DecodeError, match="not JSON"):
        await publisher.snapshot(record)


async def test_a_model_with_nan_is_refused(publisher: Publisher) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        await publisher.snapshot(Snapshot(npc_id="npc-7", observed_at=float("nan")))


@pytest.mark.parametrize("identity", ["", " a", "a\x00", "x" * 201])
async def test_an_impossible_id_cannot_be_deleted(publisher: Publisher, identity: str) -> None:
    for delete in (publisher.delete_profile, publisher.delete_roster, publisher.delete_location):
        with pytest.raises(DecodeError):
            await delete(identity)
    with pytest.raises(DecodeError):
        await publisher.world({"clusters": {}}, world_id=identity)


# ---------------------------------------------------------------- worlds


async def test_without_a_roster_a_world_goes_to_the_splitter(
    publisher: Publisher, producer: RecordingProducer
) -> None:
    record = json.loads((EXAMPLES / "world-snapshots.roblox.json").read_text())

    assert await publisher.world(record) == 1

    assert [(topic, key) for topic, key, _ in producer.sent] == [("t.world-snapshots", b"world")]
    assert json.loads(producer.sent[0][2] or b"") == record


async def test_with_a_roster_a_world_is_split_here(producers: list[RecordingProducer]) -> None:
    roster = Roster([RosterEntry(npc_id="npc-7", name="Kaiden")])
    record = json.loads((EXAMPLES / "world-snapshots.roblox.json").read_text())

    async with Publisher(CONNECTION, roster, clock=lambda: NOW) as publisher:
        await publisher.roster({"npc_id": "npc-8", "name": "Goldie"})
        assert await publisher.world(record) == 2
        await publisher.delete_roster("npc-8")
        assert await publisher.world(record) == 1
        world = decode_world(json.dumps(record).encode(), NOW)
        assert await publisher.world(world) == 1

    assert [(topic, key) for topic, key, value in producers[0].sent if value] == [
        ("t.npc-roster", b"npc-8"),
        ("t.npc-snapshots", b"npc-7"),
        ("t.npc-snapshots", b"npc-8"),
        ("t.npc-snapshots", b"npc-7"),
        ("t.npc-snapshots", b"npc-7"),
    ]


async def test_a_split_world_without_a_time_is_seen_now(
    producers: list[RecordingProducer],
) -> None:
    async with Publisher(CONNECTION, Roster(), clock=lambda: NOW) as publisher:
        await publisher.world({"clusters": {"npc-7": []}})

    sent = decode_snapshot(None, producers[0].sent[0][2] or b"", 0.0)
    assert sent.observed_at == NOW


# ---------------------------------------------------------------- delivery


async def test_a_flush_waits_for_the_answers_of_the_broker(
    publisher: Publisher, producer: RecordingProducer
) -> None:
    producer.answers_at_once = False
    for npc_id in ("npc-7", "npc-8"):
        await publisher.snapshot({"npc_id": npc_id})

    flush = asyncio.ensure_future(publisher.flush())
    await asyncio.sleep(0)
    assert not flush.done()
    assert publisher.report == PublishReport()

    for delivery in producer.deliveries:
        delivery.set_result(object())
    assert await flush == PublishReport(sent=2, failed=0)


async def test_a_record_that_the_broker_refuses_is_counted_and_told(
    producers: list[RecordingProducer],
) -> None:
    failures: list[Failure] = []
    async with Publisher(CONNECTION, on_failure=failures.append) as publisher:
        producers[0].answers_at_once = False
        await publisher.snapshot({"npc_id": "npc-7"})
        await publisher.delete_roster("npc-8")
        producers[0].deliveries[0].set_result(object())
        producers[0].deliveries[1].set_exception(KafkaTimeoutError("no answer"))

    assert publisher.report == PublishReport(sent=1, failed=1)
    assert failures == [
        Failure(
            topic="t.npc-roster", key=b"npc-8", value=None, error="KafkaTimeoutError: no answer"
        )
    ]


async def test_a_record_that_cannot_be_batched_is_counted_and_told(
    producers: list[RecordingProducer],
) -> None:
    failures: list[Failure] = []
    async with Publisher(CONNECTION, on_failure=failures.append) as publisher:
        producers[0].refusal = KafkaTimeoutError()
        await publisher.snapshot({"npc_id": "npc-7"})
        producers[0].refusal = None
        await publisher.snapshot({"npc_id": "npc-8"})

    assert publisher.report == PublishReport(sent=1, failed=1)
    assert [(failure.key, failure.value) for failure in failures] == [
        (b"npc-7", b'{"npc_id":"npc-7"}')
    ]


async def test_a_failure_nobody_asked_for_is_logged_without_the_record(
    publisher: Publisher, producer: RecordingProducer, capsys: pytest.CaptureFixture[str]
) -> None:
    producer.refusal = KafkaTimeoutError()

    await publisher.snapshot({"npc_id": "npc-7", "action": "whispering a secret"})

    logged = capsys.readouterr().out
    assert "record_not_delivered" in logged
    assert "npc-7" in logged
    assert "secret" not in logged


async def test_records_under_way_are_bounded(producers: list[RecordingProducer]) -> None:
    async with Publisher(CONNECTION, max_in_flight=2) as publisher:
        producers[0].answers_at_once = False
        await publisher.snapshot({"npc_id": "npc-1"})
        await publisher.snapshot({"npc_id": "npc-2"})
        third = asyncio.ensure_future(publisher.snapshot({"npc_id": "npc-3"}))
        await asyncio.sleep(0)
        assert len(producers[0].sent) == 2

        producers[0].deliveries[0].set_result(object())
        await third
        assert len(producers[0].sent) == 3
        for delivery in producers[0].deliveries[1:]:
            delivery.set_result(object())

    assert publisher.report == PublishReport(sent=3, failed=0)


async def test_a_callback_that_breaks_does_not_use_up_the_room(
    producers: list[RecordingProducer],
) -> None:
    def break_down(failure: Failure) -> None:
        raise RuntimeError("callback")

    async with Publisher(CONNECTION, on_failure=break_down, max_in_flight=1) as publisher:
        producers[0].refusal = KafkaTimeoutError()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="callback"):
                await publisher.snapshot({"npc_id": "npc-7"})
        producers[0].refusal = None
        await publisher.snapshot({"npc_id": "npc-7"})

    assert publisher.report == PublishReport(sent=1, failed=3)


# ---------------------------------------------------------------- life


async def test_closing_waits_for_what_is_under_way(producers: list[RecordingProducer]) -> None:
    publisher = Publisher(CONNECTION)
    await publisher.start()
    await publisher.snapshot({"npc_id": "npc-7"})

    assert await publisher.close() == PublishReport(sent=1, failed=0)
    assert await publisher.close() == PublishReport(sent=1, failed=0)
    assert producers[0].is_stopped


async def test_a_publisher_that_is_not_open_says_so(producers: list[RecordingProducer]) -> None:
    publisher = Publisher(CONNECTION)

    with pytest.raises(RuntimeError, match="not open"):
        await publisher.snapshot({"npc_id": "npc-7"})


async def test_an_unreachable_broker_is_one_sentence(
    producers: list[RecordingProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: RecordingProducer) -> None:
        raise KafkaConnectionError("refused")

    monkeypatch.setattr(RecordingProducer, "start", fail)

    with pytest.raises(KafkaUnavailableError, match=r"cannot reach Kafka at nowhere:1: .*refused"):
        await Publisher(CONNECTION).start()

    assert producers[0].is_stopped
