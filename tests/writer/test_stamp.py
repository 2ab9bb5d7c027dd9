import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.writer.document import Document
from streams.writer.group import group_document
from streams.writer.stamp import (
    KEY,
    UNKNOWN,
    UNSTAMPED,
    Stamp,
    is_edited,
    is_outdated,
    mark_of,
    read_stamp,
    stamped,
)
from tests.writer.commands import ALICE, BOB, NOON, command, desired, stamp_after


def test_a_stamp_is_read_back_as_it_was_written_and_other_keys_stay() -> None:
    rendered = group_document("", desired(ALICE, BOB), NOON)

    metadata = stamped({"theirs": {"a": [1]}}, rendered, mark_of(command(ALICE, BOB)))
    stamp = read_stamp(msgspec.json.decode(msgspec.json.encode(metadata)))

    assert metadata["theirs"] == {"a": [1]}
    assert (stamp.partition, stamp.offset, stamp.observed_at) == (3, 10, NOON)
    assert stamp.base == {
        "members": [["1001", "Alice", "tall, red scarf"], ["1002", "Bob", "short, green hat"]]
    }
    assert not is_edited(rendered.value, stamp)
    assert is_edited(rendered.value + " ", stamp)


@pytest.mark.parametrize("metadata", [{}, {KEY: None}, {KEY: 7}, {"other": {}}])
def test_a_block_of_somebody_else_is_unstamped(metadata: Document) -> None:
    assert read_stamp(metadata) == UNSTAMPED
    assert not is_edited("anything", read_stamp(metadata))


def test_notes_survive_a_damaged_stamp() -> None:
    damaged = {KEY: {"v": "x", "offset": [], "absent": {"1002": {"notes": "chess"}, "7": "odd"}}}

    assert read_stamp(damaged).absent == {"1002": {"notes": "chess"}, "7": {"notes": "odd"}}


@pytest.mark.parametrize(
    ("partition", "offset", "seconds", "expected"),
    [
        (3, 10, 0, False),
        (3, 11, 3, False),
        (3, 11, -3, False),
        (3, 9, -3, True),
        (3, 9, 0, True),
        (3, 0, 3, False),
        (4, 5, -1, True),
        (4, 5, 0, False),
        (4, 500, -1, True),
        (4, 5, 1, False),
    ],
)
def test_an_older_command_is_outdated(
    partition: int, offset: int, seconds: float, expected: bool
) -> None:
    stamp = stamp_after(group_document("", desired(ALICE), NOON))

    later = command(ALICE, partition=partition, offset=offset, observed_at=NOON + seconds)

    assert is_outdated(mark_of(later), stamp) is expected


@pytest.mark.parametrize(
    ("own_offset", "expected"), [(6, True), (7, False), (8, False), (UNKNOWN, False)]
)
def test_of_two_commands_of_one_record_the_later_on_the_command_topic_counts(
    own_offset: int, expected: bool
) -> None:
    stamp = stamp_after(group_document("", desired(ALICE), NOON), command_offset=7)

    again = mark_of(command(ALICE), own_offset)

    assert is_outdated(again, stamp) is expected


def test_of_two_commands_seen_at_one_moment_the_later_counts_though_its_record_is_older() -> None:
    stamp = stamp_after(group_document("", desired(ALICE), NOON), offset=14, command_offset=11)

    tick = mark_of(command(observed_at=NOON, offset=13), 20)
    late = mark_of(command(observed_at=NOON, offset=13), 10)

    assert [False, True] == [is_outdated(tick, stamp), is_outdated(late, stamp)]


def test_a_redelivered_command_never_undoes_the_profile_tick_that_followed_it() -> None:
    after_tick = stamp_after(
        group_document("", desired(ALICE), NOON), observed_at=NOON + 3, offset=12, command_offset=8
    )

    redelivered = mark_of(command(observed_at=NOON, offset=12), 7)

    assert is_outdated(redelivered, after_tick)


def test_nothing_is_outdated_where_nothing_was_written() -> None:
    assert not is_outdated(mark_of(command(observed_at=0.0, offset=0)), UNSTAMPED)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["v", "hash", "partition", "offset", "observed_at", "base", "absent", "gone"]
)


@settings(deadline=None)
@given(st.dictionaries(fields, json_like))
def test_no_metadata_breaks_the_writer(noted: Document) -> None:
    stamp = read_stamp({KEY: noted})

    assert isinstance(stamp, Stamp)
    rendered = group_document('{"members":{"1002":{"notes":"x"}}}', desired(ALICE), NOON, stamp)
    assert rendered.value
