import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench.lag.agreement import Age, Told, at_rest, moving, told_by_tool, widest
from ops.bench.lag.command import Plan, Report, as_json, faults
from ops.bench.lag.measuring import Sample, Stop
from ops.embedded.group_table import Row

SAME = Told(5, 9, 4)
NEVER = Told(None, 9, None)
PLAN = Plan(1, 200.0, (3.0,), 1)

offsets = st.none() | st.integers(0, 99)
steps = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3)


def answers(first: int, path: list[tuple[int, int]]) -> list[dict[int, Told]]:
    """What is told one after the other of a group that goes on, and whose topic grows."""
    told, committed, end = [], first, first
    for commits, records in path:
        end += commits + records
        committed += commits
        told.append({0: Told(committed, end, end - committed)})
    return told


def test_the_same_figures_agree() -> None:
    [judged] = at_rest({3: SAME}, {3: SAME})

    assert (3, (SAME, SAME), None) == judged


@pytest.mark.parametrize("tool", [Told(4, 9, 5), Told(5, 10, 4), Told(5, 9, 3), NEVER])
def test_at_rest_any_difference_is_a_fault(tool: Told) -> None:
    [judged] = at_rest({3: SAME}, {3: tool})

    assert "they differ" == judged.fault


def test_the_tool_may_leave_out_a_partition_without_a_commit_and_no_other() -> None:
    judged = at_rest({0: NEVER, 1: SAME}, {})

    assert [None, "the tool leaves it out"] == [one.fault for one in judged]


def test_a_partition_that_rollcall_leaves_out_is_a_fault() -> None:
    [judged] = at_rest({}, {0: SAME})

    assert "they differ" == judged.fault


@given(st.integers(0, 99), steps)
def test_what_goes_on_between_three_readings_is_no_fault(
    first: int, path: list[tuple[int, int]]
) -> None:
    before, tool, after = answers(first, path)

    [judged] = moving(before, tool, after)

    assert judged.fault is None


@given(st.integers(0, 99), steps, st.sampled_from([-1000, 1000]), st.sampled_from(["end", "lag"]))
def test_a_figure_of_the_tool_that_is_beyond_both_of_ours_is_a_fault(
    first: int, path: list[tuple[int, int]], by: int, figure: str
) -> None:
    before, tool, after = answers(first, path)
    end = (tool[0].end or 0) + (by if figure == "end" else 0)
    wrong = Told(tool[0].committed, end, (tool[0].lag or 0) + by)

    [judged] = moving(before, {0: wrong}, after)

    assert judged.fault is not None


@pytest.mark.parametrize(
    ("committed", "is_between"), [((None, None, 3), True), ((3, None, 3), False)]
)
def test_a_first_commit_may_come_while_they_read_but_none_goes_away(
    committed: tuple[int | None, ...], is_between: bool
) -> None:
    told = [{0: Told(one, 9, None if one is None else 9 - one)} for one in committed]

    [judged] = moving(*told)

    assert is_between is (judged.fault is None)


def test_the_widest_bracket_is_what_came_between_the_first_reading_and_the_last() -> None:
    judged = moving({0: SAME, 1: SAME}, {0: SAME, 1: SAME}, {0: SAME, 1: Told(5, 12, 7)})

    assert 3 == widest(judged)


def test_rows_of_other_topics_are_not_compared() -> None:
    rows = [Row("ours", 0, 5, 9, 4), Row("theirs", 0, 1, 1, 0)]

    assert {0: SAME} == told_by_tool(rows, "ours")


def test_a_report_in_which_all_agree_is_right() -> None:
    sample = Sample(moving({0: SAME}, {0: SAME}, {0: SAME}), at_rest({0: SAME}, {0: SAME}))
    report = Report([sample], [Stop(3.0, [Age(0, 3.0, 3.9)])])

    assert (True, []) == (report.is_right, faults(report))
    assert as_json(PLAN, report)["right"]


@pytest.mark.parametrize(
    "report",
    [
        Report([Sample([], at_rest({0: SAME}, {0: NEVER}))], []),
        Report([Sample(moving({0: SAME}, {0: NEVER}, {0: SAME}), [])], []),
        Report([], [Stop(3.0, [Age(0, 3.0, 3.1), Age(1, 3.0, 4.5)])]),
        Report([], [Stop(3.0, [Age(0, 3.0, 1.9)])]),
        Report([], [Stop(3.0, [Age(0, 3.0, None)])]),
    ],
)
def test_one_disagreement_makes_a_report_wrong(report: Report) -> None:
    assert not report.is_right


def test_a_disagreement_is_told_with_what_each_said() -> None:
    report = Report([Sample([], at_rest({2: SAME}, {2: NEVER}))], [])

    assert ["sample 1 at rest, partition 2: they differ: 5 9 4 | - 9 -"] == faults(report)
