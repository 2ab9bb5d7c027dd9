from collections.abc import Sequence

from ops.lag.reading import Position
from ops.lag.verdict import Sample, Verdict
from ops.lag.view import Windows
from ops.top.behind import Behind, summed

INPUTS = {"splitter": ["worlds"], "filter": ["snapshots"], "writer": ["commands"]}


def position(
    partition: int,
    committed: int | None,
    end: int,
    seconds: float | None = 0.0,
    group: str = "writer",
    topic: str = "commands",
) -> Position:
    return Position(group, topic, partition, Sample(float(end), committed, end), seconds, 2)


def told(*looks: Sequence[Position]) -> list[Behind]:
    windows = Windows(10)
    for one in looks:
        windows.add(one)
    return summed(looks[-1], windows, INPUTS)


def test_partitions_are_added_up_and_the_oldest_record_is_told() -> None:
    [one] = told([position(0, 10, 15, 1.0), position(1, 3, 10, 9.0)])

    assert (12, 9.0, 2) == (one.lag, one.seconds, one.members)


def test_the_worst_verdict_is_told_with_how_many_have_it() -> None:
    before = [position(0, 5, 9), position(1, 5, 9), position(2, 9, 9)]
    after = [position(0, 5, 10), position(1, 6, 10), position(2, 10, 10)]

    [one] = told(before, after)

    assert (Verdict.STALL, 1, 3) == (one.verdict, one.judged, one.partitions)


def test_partitions_that_never_had_a_commit_do_not_spoil_the_verdict_of_the_others() -> None:
    [one] = told([position(0, 5, 5), position(1, None, 0, None)])

    assert (Verdict.OK, 0, 0.0) == (one.verdict, one.lag, one.seconds)


def test_a_group_that_never_committed_has_no_lag() -> None:
    [one] = told([position(0, None, 7, None)])

    assert (Verdict.NONE, None, None) == (one.verdict, one.lag, one.seconds)


def test_groups_come_in_the_order_of_the_pipeline_and_know_what_they_work_on() -> None:
    found = told(
        [
            position(0, 1, 1, group="filter", topic="roster"),
            position(0, 1, 1, group="filter", topic="snapshots"),
            position(0, 1, 1, group="splitter", topic="worlds"),
            position(0, 1, 1),
        ]
    )

    assert ["worlds", "roster", "snapshots", "commands"] == [one.topic for one in found]
    assert [True, False, True, True] == [one.is_input for one in found]
