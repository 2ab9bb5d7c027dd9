import pytest

from ops.bench.predict import Guess, guesses, p95_of, with_guesses
from ops.bench.scale.happenings import Happening, Recording
from ops.demo.game import Truth
from ops.demo.town import Town, build_town
from tests.bench.test_scale import steady_letta

NPC, OTHER = "npc-1", "npc-2"


@pytest.fixture
def town() -> Town:
    return build_town(40, seed=1)


def walk_to(town: Town, spot: str, *members: str) -> list[Truth]:
    """Otto stands at the spot; somebody comes along a straight line from 30 studs away."""
    x, y, z = town.places[spot].coordinates
    way = [(x + 30.0, y, z), (x + 20.0, y, z), (x + 10.0, y, z)]
    there = Truth(OTHER, 10.0, (), spot, (x, y, z), "idle")
    walked = [Truth(NPC, 11.0 + 3 * n, (), None, at, "walking") for n, at in enumerate(way)]
    return [there, *walked, Truth(NPC, 20.0, members, spot, (x, y, z), "idle")]


def test_who_walks_straight_to_a_place_is_expected_there_with_its_group(town: Town) -> None:
    [made] = guesses(town, walk_to(town, town.spots[0], OTHER))

    assert made.is_right
    assert (1, 4.0, 10.0) == (made.npc, round(made.at, 3), made.ended)


def test_a_group_that_is_another_by_then_was_guessed_wrong(town: Town) -> None:
    [made] = guesses(town, walk_to(town, town.spots[0], OTHER, "1001"))

    assert not made.is_right


def test_from_one_position_nothing_is_guessed(town: Town) -> None:
    first, second, *_, last = walk_to(town, town.spots[0], OTHER)

    assert [] == list(guesses(town, [first, second, last]))


def test_a_right_guess_takes_the_place_of_its_change_and_a_wrong_one_comes_besides() -> None:
    changes = [Happening(5.0, 1, 3, False, 2), Happening(9.0, 2, 3, False, 2)]
    made = [Guess(1, 2.0, 5.0, True), Guess(2, 6.0, 9.0, False)]

    early = with_guesses(Recording(2, 60.0, changes), made)

    assert [2.0, 6.0, 9.0] == [one.at for one in early]
    assert 0.0 < p95_of(early, made, 60.0, steady_letta()) < 0.1
