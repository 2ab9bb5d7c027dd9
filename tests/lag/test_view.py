import io
import json

from prometheus_client import generate_latest
from rich.console import Console

from ops.lag.exporter import LagCollector, registry_of
from ops.lag.reading import Position, matching
from ops.lag.verdict import Sample
from ops.lag.view import Windows, above, as_json, behind, drawn, sparkline


def position(
    committed: int | None, end: int, seconds: float | None, group: str = "writer", at: float = 1.0
) -> Position:
    return Position(group, "commands", 3, Sample(at, committed, end), seconds, 2)


def seen(*positions: Position) -> Windows:
    """Windows that have seen one after the other."""
    windows = Windows(10)
    for one in positions:
        windows.add([one])
    return windows


BEFORE, NOW = position(10, 20, 1.5), position(12, 40, 2.5, at=3.0)


def printed(*positions: Position, windows: Windows) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(positions, windows, with_lines=True))
    return console.export_text()


def test_json_tells_a_partition_with_its_verdict() -> None:
    assert [
        {
            "group": "writer",
            "topic": "commands",
            "partition": 3,
            "committed": 12,
            "end": 40,
            "lag": 28,
            "lag_seconds": 2.5,
            "trend": 9.0,
            "members": 2,
            "verdict": "WARN",
        }
    ] == as_json([NOW], seen(BEFORE, NOW))


def test_without_a_commit_there_is_no_lag_and_no_second() -> None:
    never = position(None, 40, None)

    [told] = as_json([never], seen(never))

    assert [None, None, None, "NONE"] == [
        told[name] for name in ("committed", "lag", "lag_seconds", "verdict")
    ]
    json.dumps(told)


def test_a_table_has_a_line_for_each_partition() -> None:
    text = printed(NOW, windows=seen(BEFORE, NOW))

    assert "writer: 2 members, 28 behind" in text
    assert "WARN" in text
    assert "▃█" in text


def test_only_partitions_with_any_lag_are_told_of_on_request() -> None:
    done, lately, untouched = position(20, 20, 0.0), position(20, 20, 0.0), position(None, 7, None)
    done, lately = done._replace(partition=0), lately._replace(partition=1)
    empty, untouched = (
        position(None, 0, None)._replace(partition=2),
        untouched._replace(partition=4),
    )
    windows = Windows(10)
    windows.add([done, position(18, 20, 1.0)._replace(partition=1)])
    windows.add([done, lately, empty, untouched, NOW])

    found = behind([done, lately, empty, NOW, untouched], windows)

    assert [1, 3, 4] == [one.partition for one in found]


def test_a_group_without_lag_is_still_named_where_only_lag_is_told_of() -> None:
    done = position(20, 20, 0.0)
    console = Console(width=120, record=True, file=io.StringIO())

    console.print(drawn([done], seen(done), only_behind=True))

    assert "writer: 2 members, 0 behind\n" == console.export_text()


def test_a_group_is_found_with_the_prefix_of_its_game_or_without_it() -> None:
    names = ["a-rollcall-filter", "b-rollcall-filter", "a-other"]

    found = [matching(names, pattern, "a-") for pattern in ("rollcall-*", "a-*", "c-*")]

    assert [{"a-rollcall-filter"}, {"a-rollcall-filter", "a-other"}, set()] == found


def test_names_of_other_people_cannot_act_on_the_terminal() -> None:
    strange = position(1, 2, 0.1, group="\x1b[31mred\u202e")

    assert "\x1b" not in printed(strange, windows=seen(strange)).replace("\\x1b", "")


def test_who_is_further_behind_than_allowed_is_named() -> None:
    assert [] == above([NOW], 28, 2.5)
    assert ["writer on commands/3 is 28 records behind, more than 27."] == above([NOW], 27, None)
    assert ["writer on commands/3 is 2.5 s behind, more than 2 s."] == above([NOW], None, 2.0)


def test_a_sparkline_is_as_high_as_its_highest() -> None:
    assert "▁▅█" == sparkline([0, 5, 8])
    assert "▁▁" == sparkline([0, 0])


def test_a_partition_that_is_gone_is_forgotten() -> None:
    windows = seen(NOW)
    windows.add([])

    assert [] == as_json([], windows)


def page(collector: LagCollector) -> list[str]:
    lines = generate_latest(registry_of(collector)).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_prometheus_finds_the_names_of_kafka_exporter() -> None:
    collector = LagCollector()
    collector.show([NOW], seen(BEFORE, NOW))

    of = 'consumergroup="writer",partition="3",topic="commands"'
    assert {
        f"kafka_consumergroup_lag{{{of}}} 28.0",
        f"kafka_consumergroup_lag_seconds{{{of}}} 2.5",
        f"kafka_consumergroup_current_offset{{{of}}} 12.0",
        'kafka_consumergroup_lag_sum{consumergroup="writer",topic="commands"} 28.0',
        'kafka_consumergroup_members{consumergroup="writer"} 2.0',
        'kafka_topic_partition_current_offset{partition="3",topic="commands"} 40.0',
        'kafka_topic_partition_oldest_offset{partition="3",topic="commands"} 0.0',
        "rollcall_lag_up 1.0",
    } <= set(page(collector))


def test_a_group_that_never_committed_has_no_lag_for_prometheus() -> None:
    collector, never = LagCollector(), position(None, 40, None)
    collector.show([never], seen(never))

    lines = page(collector)

    assert not [line for line in lines if line.startswith("kafka_consumergroup_lag{")]
    assert not [line for line in lines if line.startswith("kafka_consumergroup_lag_seconds")]


def test_after_a_reading_that_failed_nothing_old_is_shown() -> None:
    collector = LagCollector()
    collector.show([NOW], seen(NOW))
    collector.fail()

    lines = page(collector)

    assert "rollcall_lag_up 0.0" in lines
    assert not [line for line in lines if line.startswith("kafka_")]
