import orjson

from ops.replay.republish import MARK, MARKED_AT, Pace, Shift, marked
from ops.replay.stored import Stored


def record(timestamp: int = 0, value: bytes | None = b"{}") -> Stored:
    return Stored("npc-snapshots", 3, 7, timestamp, b"npc-1", value, (("own", b"1"),))


async def waits(speed: float | None, *timestamps: int) -> list[float]:
    """Seconds slept before each record, on a clock that only sleeping moves."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))

    pace = Pace(speed, lambda: sum(slept), sleep)
    for timestamp in timestamps:
        await pace.wait(timestamp)
    return slept


async def test_records_keep_their_distance() -> None:
    assert [0.0, 3.0, 2.0] == await waits(1.0, 10_000, 13_000, 15_000)


async def test_a_speed_shortens_it() -> None:
    assert [0.0, 0.3, 0.2] == await waits(10.0, 10_000, 13_000, 15_000)


async def test_without_a_speed_nothing_waits() -> None:
    assert [] == await waits(None, 10_000, 99_000)


async def test_a_record_that_is_older_than_the_first_is_due_at_once() -> None:
    assert [0.0, 0.0] == await waits(1.0, 10_000, 2_000)


def test_a_replayed_record_says_where_it_is_from() -> None:
    headers = dict(marked(record(), 1_790_000_000.0))

    assert b"npc-snapshots/3@7" == headers[MARK]
    assert b"2026-09-21T14:13:20Z" == headers[MARKED_AT]
    assert b"1" == headers["own"]


def test_a_replay_of_a_replay_is_marked_once() -> None:
    again = record()._replace(headers=marked(record(), 0.0))

    names = [name for name, _ in marked(again, 0.0)]

    assert len(set(names)) == len(names)


def test_times_move_by_the_age_of_the_first_one() -> None:
    shift = Shift(now=lambda: 1000.0)
    values = [orjson.dumps({"observed_at": at, "action": "idle"}) for at in (100.0, 103.5)]

    moved = [shift.moved(record(100_000 + n, value)) for n, value in enumerate(values)]

    assert [1000.0, 1003.5] == [orjson.loads(value or b"")["observed_at"] for value in moved]


def test_what_has_no_time_or_cannot_be_read_stays() -> None:
    shift = Shift(now=lambda: 1000.0)
    values = [b"junk", b"[1]", None, b'{"observed_at":true}', b'{"observed_at":"2026-01-01"}']

    assert values == [shift.moved(record(0, value)) for value in values]
