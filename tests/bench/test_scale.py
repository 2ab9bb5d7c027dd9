"""The scale bench: a modelled Letta, a recorded town, and the writer's own queue between them."""

import json
from pathlib import Path

import pytest

from ops.bench.scale.command import Scale
from ops.bench.scale.happenings import Happening, like, recorded
from ops.bench.scale.letta_model import DEFAULT, Curve, LettaModel, read_curves
from ops.bench.scale.server import Server
from ops.failure import Failure


def always(seconds: float) -> Curve:
    return [(0.0, seconds), (1.0, seconds)]


def steady_letta(write: float = 0.03) -> LettaModel:
    """Twice as many at a time take twice as long."""
    reads = {1: always(0.01), 2: always(0.02)}
    return LettaModel(
        {
            "read": reads,
            "read of 8": reads,
            "write": {n: always(write * n) for n in (1, 2, 4, 8, 16)},
        },
        seed=1,
    )


def news(at: float, npc: int, *, watched: bool = False, blocks: int = 1) -> Happening:
    return Happening(at, npc, 0 if watched else 3, watched, blocks)


def test_a_request_takes_what_was_measured_with_as_many() -> None:
    letta = steady_letta()

    found = [letta.seconds("write", under_way) for under_way in (1, 2, 3, 32)]

    assert pytest.approx([0.03, 0.06, 0.09, 0.96]) == found


def test_times_are_spread_as_they_were_measured() -> None:
    letta = LettaModel({"write": {1: [(0.0, 0.1), (0.5, 0.2), (1.0, 1.0)]}}, seed=1)

    times = sorted(letta.seconds("write", 1) for _ in range(4000))

    assert 0.1 <= times[0]
    assert pytest.approx(0.2, abs=0.01) == times[2000]
    assert pytest.approx(0.6, abs=0.03) == times[3000]


def test_the_measurement_that_comes_along_can_be_read() -> None:
    letta = LettaModel(read_curves(DEFAULT), seed=1)

    assert 0.0 < letta.seconds("read", 1) < letta.seconds("write", 16) < 10.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": [{}]}', '{"points": 1}'])
def test_another_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)

    with pytest.raises(Failure, match=r"other\.json"):
        read_curves(file)


def test_a_report_without_an_operation_we_need_is_refused(tmp_path: Path) -> None:
    points = [
        one for one in json.loads(DEFAULT.read_text())["points"] if one["operation"] != "write"
    ]
    file = tmp_path / "half.json"
    file.write_text(json.dumps({"points": points}))

    with pytest.raises(Failure, match="'write'"):
        read_curves(file)


def test_a_change_is_as_old_as_its_read_and_write_take_while_nobody_waits() -> None:
    told = Server(steady_letta()).play([news(1.0, 7), news(2.0, 8, blocks=2)], until=10.0)

    assert pytest.approx([0.04, 0.07]) == [age.seconds for age in told.ages]
    assert {"read": 2, "write": 3} == dict(told.calls)


def test_changes_of_an_npc_that_waits_are_written_at_once() -> None:
    first = [news(1.0, npc) for npc in range(8)]
    told = Server(steady_letta()).play([*first, news(1.0, 9), news(1.01, 9)], until=10.0)

    assert 9 == told.updates
    assert 10 == len(told.ages)


def test_those_who_begin_together_share_a_read() -> None:
    told = Server(steady_letta()).play([news(1.0, npc) for npc in range(80)], until=60.0)

    assert 80 == told.calls["write"]
    assert told.calls["read"] < 40


def test_overload_hides_nothing_and_the_watched_stay_fresh() -> None:
    """60 changes a second where 33 can be written, one in ten of them watched."""
    all_news = [news(n / 60, n % 900, watched=n % 10 == 0) for n in range(60 * 60)]

    told = Server(steady_letta()).play(all_news, until=60.0)

    assert len(all_news) == len(told.ages)
    watched = sorted(age.seconds for age in told.ages if age.is_group_watched)
    others = sorted(age.seconds for age in told.ages if not age.is_group_watched)
    assert watched[int(len(watched) * 0.95)] < 1.0 < others[len(others) // 2]
    assert others[-1] < 60.0


def test_a_town_of_many_is_many_towns_begun_at_other_moments() -> None:
    town = recorded(seed=1, seconds=60.0, npcs=40)

    towns = list(like(town, 100, seed=1))

    assert [(0, 40), (40, 40), (80, 20)] == [(first, one.npcs) for first, one in towns]
    assert len(town.happenings) == len(towns[0][1].happenings)
    assert all(one.at < 60.0 and one.npc < 20 for one in towns[2][1].happenings)
    assert [one.at for one in towns[0][1].happenings] != [one.at for one in town.happenings]


def test_the_same_seed_plays_the_same_and_more_servers_share_the_load() -> None:
    played = Scale(recorded(seed=1, seconds=120.0, npcs=60), read_curves(DEFAULT), 120.0, seed=1)

    one, again, four = played.case(600, 1), played.case(600, 1), played.case(600, 4)

    assert one == again
    assert one.changes == four.changes
    assert four.waiting < one.waiting
