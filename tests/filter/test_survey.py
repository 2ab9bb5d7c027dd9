"""The survey: who is looked at when, who is silent, who is worth a look."""

from hypothesis import given
from hypothesis import strategies as st

from streams.filter.state import GroupState
from streams.filter.survey import GameTime, Walk
from tests.filter.town import NOON
from topics.models import Desired, Source

AFTER = 120.0


def state(at: float = NOON, *, silent: bool = False) -> GroupState:
    return GroupState(
        desired=Desired(),
        last_updated=at,
        last_force_refresh=at,
        source=Source(topic="t", partition=0, offset=0),
        silent=silent,
    )


def game(*times: float) -> GameTime:
    game = GameTime()
    for at in times:
        game.hear(NOON + at)
    return game


@given(st.lists(st.text(max_size=3), unique=True), st.integers(1, 5))
def test_a_round_visits_each_key_once(keys: list[str], most: int) -> None:
    walk, visited = Walk(), list[str]()

    while len(visited) < len(keys):
        visited += walk.next(lambda: keys, most)

    assert keys == visited


def test_a_slice_ends_with_its_round_and_the_next_begins_anew() -> None:
    walk = Walk()

    slices = [list(walk.next(lambda: ["a", "b", "c"], 2)) for _ in range(3)]

    assert [["a", "b"], ["c"], ["a", "b"]] == slices


def test_who_comes_meanwhile_is_of_the_next_round() -> None:
    walk, keys = Walk(), ["a", "b"]
    first = list(walk.next(lambda: list(keys), 1))
    keys.append("c")

    rest = list(walk.next(lambda: list(keys), 9)), list(walk.next(lambda: list(keys), 9))

    assert (["a"], (["b"], ["a", "b", "c"])) == (first, rest)


def test_what_was_not_taken_comes_next_time() -> None:
    walk = Walk()
    next(walk.next(lambda: ["a", "b", "c"], 3))

    assert ["b", "c"] == list(walk.next(lambda: ["a", "b", "c"], 3))


def test_nobody_is_a_walk_too() -> None:
    assert [] == list(Walk().next(list, 5))


def test_an_npc_is_silent_once_the_game_has_gone_on_for_long_enough() -> None:
    seen_at = NOON

    found = [game(0, later).is_silence(state(), seen_at, AFTER) for later in (0, 120, 120.5)]

    assert [False, False, True] == found


def test_who_is_marked_is_not_marked_again() -> None:
    assert not game(0, 500).is_silence(state(silent=True), NOON, AFTER)


def test_where_nobody_reports_nobody_is_silent() -> None:
    assert not game().is_silence(state(), NOON, AFTER)


def test_new_partitions_give_everybody_the_whole_time_anew() -> None:
    time = game(0, 500)
    time.begin_anew()
    assert not time.is_silence(state(), NOON, AFTER)

    time.hear(NOON + 600)
    assert not time.is_silence(state(), NOON, AFTER)

    time.hear(NOON + 721)
    assert time.is_silence(state(), NOON, AFTER)


def test_a_late_snapshot_does_not_turn_the_game_back() -> None:
    assert game(0, 500, 3).is_silence(state(), NOON, AFTER)


def test_who_was_pushed_just_now_needs_no_look() -> None:
    time = game(0, 60)

    assert [True, False] == [time.is_worth_a_look(state(NOON + at), 60.0) for at in (0, 1)]
