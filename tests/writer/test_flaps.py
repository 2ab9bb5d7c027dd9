from streams.writer.flaps import FULL, LONGEST, WINDOW, Flaps
from topics.models import Desired, Member

ALONE = Desired()
TOGETHER = Desired(members=(Member(id="1001", name="Alice"),))
CROWD = Desired(members=(Member(id="1001", name="Alice"), Member(id="1002", name="Bob")))


def holds(*groups: Desired, age: float, every: float = 3.0) -> list[float]:
    flaps = Flaps()
    return [flaps.hold("npc-1", group, age, turn * every) for turn, group in enumerate(groups)]


def test_nobody_is_held_while_letta_keeps_up() -> None:
    assert [0.0] * 5 == holds(ALONE, TOGETHER, ALONE, TOGETHER, ALONE, age=0.0)


def test_who_returns_to_the_group_before_is_held_the_longer_the_more_often() -> None:
    expected = [0.0, 0.0, 1.0, 2.0, 3.0, 3.0]

    assert expected == holds(ALONE, TOGETHER, ALONE, TOGETHER, ALONE, TOGETHER, age=3.0)
    assert FULL == 3


def test_a_group_that_was_not_there_just_before_is_never_held() -> None:
    assert [0.0] * 3 == holds(ALONE, TOGETHER, CROWD, age=30.0)


def test_a_change_that_is_no_change_of_the_group_is_never_held() -> None:
    assert [0.0, 0.0, 0.0] == holds(ALONE, TOGETHER, TOGETHER, age=30.0)


def test_nobody_is_held_beyond_a_bound() -> None:
    assert LONGEST == max(holds(*[ALONE, TOGETHER] * 10, age=1e6))


def test_what_is_long_ago_is_forgotten() -> None:
    flaps = Flaps()
    for number in range(100):
        flaps.hold(f"npc-{number}", TOGETHER, 1.0, float(number))

    assert WINDOW == len(flaps)
    assert [0.0] * 4 == holds(ALONE, TOGETHER, ALONE, TOGETHER, age=9.0, every=WINDOW)
