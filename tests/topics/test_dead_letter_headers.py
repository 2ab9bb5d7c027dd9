from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topics.dead_letter import DeadLetter, headers_for, parse_headers
from topics.decode import DecodeError

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


def test_the_headers_of_the_contract() -> None:
    headers = headers_for("filter", DecodeError("npc_id: an empty id"), "npc-snapshots", 3, 17, 1.5)

    assert headers == [
        ("rollcall-stage", b"filter"),
        ("rollcall-error", b"npc_id: an empty id"),
        ("rollcall-topic", b"npc-snapshots"),
        ("rollcall-partition", b"3"),
        ("rollcall-offset", b"17"),
        ("rollcall-failed-at", b"1.5"),
    ]


def test_headers_are_read_back() -> None:
    headers = headers_for(
        "writer", "no such agent", "p.npc-update-commands", 0, 2**62, 1795426413.25
    )

    assert parse_headers(headers) == DeadLetter(
        stage="writer",
        error="no such agent",
        topic="p.npc-update-commands",
        partition=0,
        offset=2**62,
        failed_at=1795426413.25,
    )


def test_an_error_is_one_short_line_and_never_empty() -> None:
    long = dict(headers_for("filter", "two\nlines\x1b" + "x" * 1000, "t", 0, 0, 0.0))
    silent = dict(headers_for("filter", KeyError(), "t", 0, 0, 0.0))

    assert long["rollcall-error"] == b"two lines" + b"x" * 491
    assert silent["rollcall-error"] == b"KeyError"


def test_headers_by_a_stranger_are_read_as_far_as_they_make_sense() -> None:
    headers = [
        ("rollcall-stage", b"\xff\xfe"),
        ("rollcall-partition", b"minus one"),
        ("rollcall-offset", "٣".encode()),
        ("rollcall-failed-at", b"nan"),
        ("rollcall-error", None),
        ("somebody-else's", b"header"),
        ("rollcall-topic", b"first"),
        ("rollcall-topic", b"last"),
    ]

    assert parse_headers(headers) == DeadLetter(stage="\ufffd\ufffd", topic="last")


@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_any_headers_can_be_read(headers: list[tuple[str, bytes | None]]) -> None:
    assert isinstance(parse_headers(headers), DeadLetter)


@given(st.binary())
def test_any_bytes_in_our_own_headers_can_be_read(value: bytes) -> None:
    names = [name for name, _ in headers_for("s", "e", "t", 0, 0, 0.0)]

    assert isinstance(parse_headers([(name, value) for name in names]), DeadLetter)
