import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench.filter.backlog import backlog_of
from ops.bench.filter.command import comparison, panels
from ops.bench.filter.figures import Run, Spread, Standing, in_turn, standings

NAMES = ["rollcall", "faust", "quix", "raw"]


def run(contender: str, seconds: float, fault: str | None = None, npcs: int = 100) -> Run:
    return Run(
        contender=contender,
        round=1,
        npcs=npcs,
        records=1000,
        seconds=seconds,
        processor=0.5,
        peak_memory=1_000_000,
        load=1.0,
        fault=fault,
    )


def of(name: str, rows: list[Standing], npcs: int = 100) -> Standing:
    return next(row for row in rows if (row.contender, row.npcs) == (name, npcs))


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_in_as_many_rounds_as_contenders_each_comes_once_at_each_place(names: list[str]) -> None:
    rounds = [in_turn(names, number) for number in range(len(names))]

    assert [set(names)] * len(names) == [set(place) for place in zip(*rounds, strict=True)]


@given(st.lists(st.floats(0.1, 100), min_size=1))
def test_a_spread_has_its_middle_between_its_ends(values: list[float]) -> None:
    spread = Spread.of(values)

    assert (min(values), max(values)) == (spread.least, spread.most)
    assert spread.least <= spread.middle <= spread.most


def test_the_middle_round_counts_and_ratios_are_those_of_the_middles() -> None:
    rows = standings(
        [run("rollcall", seconds) for seconds in (1.0, 2.0, 10.0)]
        + [run("faust", seconds) for seconds in (4.0, 5.0, 20.0)]
    )

    assert Spread(500.0, 100.0, 1000.0) == of("rollcall", rows).rate
    assert (1.0, 2.5) == (of("rollcall", rows).ratio, of("faust", rows).ratio)
    assert 500.0 == of("faust", rows).microseconds


def test_numbers_of_npcs_are_compared_apart() -> None:
    few = [run("rollcall", 1.0, npcs=9), run("faust", 4.0, npcs=9)]

    rows = standings([run("rollcall", 1.0), run("faust", 2.0), *few])

    assert (2.0, 4.0) == (of("faust", rows).ratio, of("faust", rows, npcs=9).ratio)


def test_the_time_of_a_run_with_a_fault_does_not_count() -> None:
    rows = standings([run("rollcall", 1.0), run("faust", 0.1, "other commands")])

    faust = of("faust", rows)
    assert (None, None, None) == (faust.rate, faust.ratio, faust.microseconds)


def test_a_run_that_was_over_at_one_look_has_no_time() -> None:
    rows = standings([run("rollcall", 1.0), run("quix", 0.0)])

    quix = of("quix", rows)
    assert (None, None, None) == (quix.rate, quix.ratio, quix.microseconds)


def test_what_does_not_count_is_told_and_not_drawn() -> None:
    rows = standings([run("rollcall", 1.0), run("faust", 0.1, "other commands")])

    outputs = list(comparison(backlog_of(100, 1000), rows).columns[-1].cells)

    assert ["same", "differ in 1 of 1"] == outputs
    assert ["rollcall"] == [line.name for line in panels(rows)[0].lines]


@pytest.mark.parametrize(("npcs", "warm_up"), [(1_000, 20_000), (50_000, 50_000)])
def test_every_npc_may_be_seen_before_the_clock_runs(npcs: int, warm_up: int) -> None:
    backlog = backlog_of(npcs, 400_000)

    assert (warm_up, 400_000 - warm_up) == (backlog.warm_up, backlog.measured)
