"""`rollcall dead-letters` without Kafka: what is meant, shown and refused, and in what order."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.dead_letters.command import first_of
from ops.dead_letters.letter import (
    Letter,
    LetterId,
    Mark,
    Selection,
    mark_headers,
    read,
)
from ops.dead_letters.requeue import WAVE, waves
from ops.dead_letters.verdict import (
    Attempt,
    Newest,
    RefusedError,
    attempt,
    demand_newest,
    demand_readable,
    target,
)
from ops.dead_letters.view import page
from ops.moment import Moment
from ops.visible import pretty, visible
from topics.catalogue import BY_NAME, CATALOGUE, DEAD_LETTERS
from topics.dead_letter import headers_for

NOW = 1_795_000_000.0
DAY = 86_400.0
SNAPSHOTS = BY_NAME["npc-snapshots"]


def letter(
    offset: int = 0,
    *,
    key: bytes | None = b"npc-7",
    value: bytes | None = b'{"npc_id": "npc-7"}',
    topic: str = "npc-snapshots",
    stage: str = "filter",
    partition: int = 3,
    source_offset: int = 40,
    at: float = NOW - 60,
) -> Letter:
    headers = headers_for(stage, "npc_id: missing", topic, partition, source_offset, at)
    found = read(LetterId(0, offset), at + 5, key, value, headers)
    assert isinstance(found, Letter)
    return found


def tried(value: bytes | None, **more: Any) -> Attempt:
    one = letter(value=value, **more)
    topic = target(one, "")
    found = attempt(one, topic, value, NOW)
    demand_readable(found, topic, max_clock_ahead=300)
    return found


# ---------------------------------------------------------------- letters and marks


@pytest.mark.parametrize("text", ["", "7", "0-", "-1-2", "0-x", "٣-٤", "0-1 ", "9" * 20 + "-1"])
def test_an_id_is_a_partition_and_an_offset(text: str) -> None:
    assert LetterId.parse("0-123") == LetterId(0, 123)
    assert str(LetterId(0, 123)) == "0-123"
    with pytest.raises(ValueError, match="is no id of a dead letter"):
        LetterId.parse(text)


def test_a_mark_is_told_from_a_letter_by_its_header() -> None:
    headers = mark_headers(LetterId(0, 7), "npc-snapshots/3/99", edited=True)

    mark = read(LetterId(0, 12), NOW, b"npc-7", None, headers)

    assert mark == Mark(LetterId(0, 7), "npc-snapshots/3/99", NOW, edited=True)


def test_a_mark_of_nonsense_marks_nothing_and_is_no_letter() -> None:
    assert read(LetterId(0, 1), NOW, None, None, [("rollcall-requeued", b"\xff")]) is None


def test_a_letter_without_headers_is_a_letter() -> None:
    found = read(LetterId(0, 1), NOW, None, b"x", [])

    assert isinstance(found, Letter)
    assert found.at == NOW
    with pytest.raises(RefusedError, match="its headers name no topic"):
        target(found, "")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"stage": "filter"}, True),
        ({"stage": "writer"}, False),
        ({"topic": "npc-snapshots"}, True),
        ({"topic": "town.npc-snapshots"}, True),
        ({"topic": "locations"}, False),
        ({"key": "npc-7"}, True),
        ({"key": "npc"}, False),
        ({"since": NOW - 60, "until": NOW}, True),
        ({"since": NOW - 59}, False),
        ({"until": NOW - 60}, False),
    ],
)
def test_a_selection_takes_what_fits_all_its_filters(
    filters: dict[str, Any], expected: bool
) -> None:
    one = letter(topic="town.npc-snapshots")

    assert (one in Selection(prefix="town.", **filters)) is expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("-10m", NOW - 600),
        ("2h", NOW - 7200),
        ("1795426413.5", 1_795_426_413.5),
        ("2026-11-23T09:33:33Z", 1_795_426_413.0),
        ("2026-11-23T09:33:33", 1_795_426_413.0),
        ("2026-11-23T10:33:33+01:00", 1_795_426_413.0),
    ],
)
def test_a_time_is_iso_8601_or_seconds_or_how_long_ago(text: str, seconds: float) -> None:
    assert Moment(lambda: NOW).convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2x", "1e400x", "99999-01-01"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        Moment(lambda: NOW).convert(text, None, None)


# ---------------------------------------------------------------- showing


def test_nothing_in_a_value_acts_on_the_terminal() -> None:
    shown = visible("\x1b]0;owned\x07 \u202egnp\u009b2J \u200b\r\n".encode() + b"\xff")

    assert shown == "\\x1b]0;owned\\x07 \\u202egnp\\x9b2J \\u200b\\r\\n\\xff"


def test_what_can_be_read_stays_as_it_is() -> None:
    assert visible("Zoë 🧙 läuft".encode()) == "Zoë 🧙 läuft"


def test_a_long_value_is_cut_and_never_in_the_middle_of_a_letter() -> None:
    assert visible("ä".encode() * 1000, 5) == "ää… (1,995 more bytes)"


def test_json_is_indented_and_otherwise_untouched() -> None:
    assert pretty(b'{"a":1.0e5,"a":[2]}') == b'{\n  "a": 1.0e5,\n  "a": [\n    2\n  ]\n}'


@pytest.mark.parametrize(
    "value", [b"", b"{", b'{"a": NaN}', b"[" * 500_000, b"[" * 70 + b"]" * 70, b"\xff"]
)
def test_what_is_no_plain_json_is_left_alone(value: bytes) -> None:
    assert pretty(value) == value


def test_a_page_shows_everything_with_nothing_to_obey() -> None:
    one = letter(value=b'{"npc_id":"\x1b[2J[red]"}', key=b"\x1bc")
    mark = Mark(one.id, "npc-snapshots/3/99\x1b", NOW, edited=False)

    shown = "\n".join(line.plain for line in page(one, mark, None))

    assert "\x1b" not in shown
    assert "[red]" in shown
    assert "npc-snapshots/3/40" in shown
    assert "npc-snapshots/3/99\\x1b" in shown


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("topic", "prefix", "reason"),
    [
        ("bank-transfers", "", "is no topic of the catalogue"),
        ("__consumer_offsets", "", "is no topic of the catalogue"),
        ("npc-snapshots", "town.", "with the prefix 'town.'"),
        ("city.npc-snapshots", "town.", "with the prefix 'town.'"),
        ("town.dead-letters", "town.", "from dead-letters itself"),
        ("town.rollcall-filter-groups-changelog", "town.", "is no topic of the catalogue"),
    ],
)
def test_only_topics_of_the_catalogue_and_the_prefix_are_written_to(
    topic: str, prefix: str, reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason):
        target(letter(topic=topic), prefix)


@pytest.mark.parametrize("topic", [t for t in CATALOGUE if t.name != DEAD_LETTERS])
def test_garbage_is_refused_on_every_topic(topic: Any) -> None:
    with pytest.raises(RefusedError, match="it would be a dead letter again: "):
        tried(b"{", topic=topic.name)


@pytest.mark.parametrize("topic", ["npc-roster", "locations", "player-profiles"])
def test_a_deletion_needs_a_readable_key(topic: str) -> None:
    assert tried(None, topic=topic).value is None
    with pytest.raises(RefusedError, match="UTF-8"):
        tried(None, topic=topic, key=b"\xff")


def test_what_reads_well_now_may_go() -> None:
    found = tried(b'{"npc_id": "npc-7", "observed_at": 1794999000}')

    assert (found.topic, found.partition, found.edited) == ("npc-snapshots", None, False)


def test_a_key_that_disagrees_is_refused() -> None:
    with pytest.raises(RefusedError, match="key: the record's key is 'npc-7'"):
        tried(b'{"npc_id": "npc-8"}')


def test_a_snapshot_from_the_future_is_refused_again() -> None:
    value = b'{"npc_id": "npc-7", "observed_at": %d}' % (NOW + 3600)

    with pytest.raises(RefusedError, match="observed_at: 3660 s ahead"):
        tried(value)


def test_a_requeued_record_is_as_old_as_its_letter() -> None:
    assert tried(b'{"npc_id": "npc-7"}', at=NOW - 600).timestamp == NOW - 600


def test_but_not_so_old_that_the_topic_would_delete_it_unread() -> None:
    assert tried(b'{"npc_id": "npc-7"}', at=NOW - 20 * DAY).timestamp == NOW - 3.5 * DAY


def test_a_record_without_key_goes_to_the_partition_it_came_from() -> None:
    assert tried(b'{"npc_id": "npc-7"}', key=None).partition == 3


def test_an_older_profile_never_undoes_a_newer_one() -> None:
    one = letter(topic="player-profiles", partition=3, source_offset=40)

    demand_newest(one, None)
    demand_newest(one, Newest(40))
    demand_newest(one, Newest(41, requeued_from="0-0"))
    with pytest.raises(RefusedError, match="stands at player-profiles/3/41"):
        demand_newest(one, Newest(41))


# ---------------------------------------------------------------- order


async def iterated(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def attempts(*keys: bytes | None) -> AsyncIterator[Any]:
    return iterated(
        attempt(letter(offset, key=key), SNAPSHOTS, b"x", NOW) for offset, key in enumerate(keys)
    )


async def grouped(*keys: bytes | None) -> list[list[int]]:
    return [[a.letter.id.offset for a in wave] async for wave in waves(attempts(*keys))]


async def test_records_of_one_key_are_never_under_way_together() -> None:
    assert await grouped(b"a", b"b", b"a", b"a", b"c") == [[0, 1], [2], [3, 4]]


async def test_records_without_key_keep_the_order_of_their_partition() -> None:
    assert await grouped(None, b"a", None) == [[0, 1], [2]]


async def test_no_more_than_a_wave_is_under_way() -> None:
    keys = [str(number).encode() for number in range(WAVE + 1)]

    assert [len(wave) for wave in await grouped(*keys)] == [WAVE, 1]


async def test_a_list_keeps_the_newest_or_the_oldest() -> None:
    def letters() -> AsyncIterator[Letter]:
        return iterated(letter(offset, at=NOW + offset) for offset in range(100))

    newest, total = await first_of(letters(), 3, oldest=False)
    oldest, _ = await first_of(letters(), 3, oldest=True)

    assert total == 100
    assert [one.id.offset for one in newest] == [99, 98, 97]
    assert [one.id.offset for one in oldest] == [0, 1, 2]
    assert newest[0].value is None
    assert newest[0].size == letter().size


# ---------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["requeue"], "give the IDs"),
        (["requeue", "0-1", "--all"], "give the IDs"),
        (["requeue", "0-1", "--stage", "filter"], "the filters go with --all"),
        (["requeue", "--all", "--edit"], "--edit and --value go with IDs"),
        (["requeue", "0-1", "0-2", "--value", __file__], "--value goes with one ID"),
        (["requeue", "zero"], "is no id of a dead letter"),
        (["list", "--since", "soon"], "is no time"),
        (["list", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_use_is_told_before_anything_is_read(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["dead-letters", *arguments])

    assert result.exit_code == 2
    assert message in result.stderr
