"""What is written down of sightings is true when it is read, and never later than it was."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.checkpoint import OLDEST, Rounds, Sighted, by_partition, dump, load, recalled

NOON = 1_795_426_413.0

keys = st.binary(min_size=1, max_size=12)
seen = st.dictionaries(keys, st.floats(NOON, NOON + OLDEST - 1), max_size=30)


@given(seen)
def test_whom_a_piece_tells_of_was_seen_then_or_less_than_a_second_later(
    times: dict[bytes, float],
) -> None:
    facts = load(dump([Sighted(key, 3, at) for key, at in times.items()]))

    assert facts is not None
    assert {crc32(key) for key in times} == facts.keys()
    newest = {crc32(key): at for key, at in times.items()}
    assert all(newest[one] - 1 < at <= newest[one] for one, at in facts.items())


def test_who_was_seen_long_ago_is_left_out() -> None:
    old, young = Sighted(b"npc-1", 3, NOON), Sighted(b"npc-2", 3, NOON + OLDEST + 1)

    assert {crc32(b"npc-2"): NOON + OLDEST + 1} == load(dump([old, young]))


def test_who_is_minutes_ahead_hides_nobody() -> None:
    ahead, others = Sighted(b"npc-1", 3, NOON + 300), Sighted(b"npc-2", 3, NOON)

    assert {crc32(b"npc-1"): NOON + 300, crc32(b"npc-2"): NOON} == load(dump([others, ahead]))


@given(seen, st.integers(0), st.integers(1, 255))
def test_a_damaged_piece_is_no_piece(times: dict[bytes, float], where: int, flip: int) -> None:
    value = bytearray(dump([Sighted(key, 3, at) for key, at in times.items()]))
    value[where % len(value)] ^= flip

    assert load(bytes(value)) is None


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"\x01" + bytes(16), bytes(17), b"\x02" + bytes(16) + b"x"]
)
def test_anything_else_is_no_piece(value: bytes) -> None:
    assert load(value) is None


def test_each_partition_of_a_piece_has_a_value_of_its_own() -> None:
    values = dict(
        by_partition([Sighted(b"a", 1, NOON), Sighted(b"b", 2, NOON), Sighted(b"c", 1, NOON)])
    )

    assert {crc32(b"a"), crc32(b"c")} == (load(values[1]) or {}).keys()
    assert {crc32(b"b")} == (load(values[2]) or {}).keys()


def test_of_two_pieces_the_later_sighting_counts() -> None:
    pieces = [(1, {crc32(b"a"): NOON + 9}), (2, {crc32(b"a"): NOON, crc32(b"gone"): NOON})]

    assert [Sighted(b"a", 1, NOON + 9)] == list(recalled(pieces, [b"a", b"b"]))


def taken(
    rounds: Rounds, game: float, everybody: list[bytes], ours: float = 0.0
) -> tuple[int, list[bytes]]:
    number, keys = rounds.next(game, ours, lambda: everybody)
    return number, list(keys)


def test_a_round_goes_over_everybody_a_piece_at_a_time() -> None:
    rounds, everybody = Rounds(5.0, 2), [b"a", b"b", b"c"]

    assert (0, [b"a", b"b"]) == taken(rounds, NOON, everybody)
    assert (1, [b"c"]) == taken(rounds, NOON, everybody)
    assert (0, []) == taken(rounds, NOON + 4.9, everybody)
    assert (0, [b"a", b"b"]) == taken(rounds, NOON + 5, everybody)


def test_rounds_go_on_after_a_record_from_the_future() -> None:
    rounds, everybody = Rounds(5.0, 2), [b"a"]
    taken(rounds, NOON + 3600, everybody, 100.0)

    assert (0, []) == taken(rounds, NOON + 3600, everybody, 104.9)
    assert (0, [b"a"]) == taken(rounds, NOON + 3600, everybody, 105.0)


def test_a_new_round_begins_when_partitions_move() -> None:
    rounds, everybody = Rounds(5.0, 2), [b"a", b"b", b"c"]
    taken(rounds, NOON, everybody)

    rounds.begin_anew()

    assert (0, [b"a", b"b"]) == taken(rounds, NOON, everybody)
