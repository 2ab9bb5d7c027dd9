"""Flap damping: who comes or goes counts once it has lasted."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from streams.filter.settle import Pending, settled
from tests.filter.town import NOON, desired, member, names
from topics.models import Desired

ANNA, BERT = member("Anna", "1"), member("Bert", "2")
SETTLE = 10.0


def settle_all(before: Desired, seen: Iterable[tuple[float, Desired]]) -> list[Desired]:
    """What is passed on of each snapshot, every one of which is pushed."""
    pending: Pending = {}
    passed = []
    for at, now in seen:
        before, pending = settled(before, now, pending, NOON + at, SETTLE)
        passed.append(before)
    return passed


def test_who_steps_in_and_out_leaves_no_trace() -> None:
    together, alone = desired(ANNA, BERT), desired(ANNA)

    passed = settle_all(alone, [(0, together), (9, together), (9.9, alone), (30, alone)])

    assert passed == [alone] * 4


def test_who_steps_out_and_in_never_left() -> None:
    together, alone = desired(ANNA, BERT), desired(ANNA)

    passed = settle_all(together, [(0, alone), (9, together), (30, together)])

    assert passed == [together] * 3


def test_who_stays_is_told_by_the_first_snapshot_after_it_has_lasted() -> None:
    together, alone = desired(ANNA, BERT), desired(ANNA)

    passed = settle_all(alone, [(0, together), (9.9, together), (12, together)])

    assert passed == [alone, alone, together]


def test_who_stays_away_is_told_when_it_has_lasted() -> None:
    together, alone = desired(ANNA, BERT), desired(ANNA)

    passed = settle_all(together, [(0, alone), (9.9, alone), (10, alone)])

    assert passed == [together, together, alone]


def test_a_change_that_reverts_starts_anew() -> None:
    together, alone = desired(ANNA, BERT), desired(ANNA)

    passed = settle_all(
        alone, [(0, together), (8, alone), (9, together), (18, together), (19, together)]
    )

    assert [names(one) for one in passed] == [["Anna"]] * 4 + [["Anna", "Bert"]]


def test_everything_else_is_passed_on_at_once() -> None:
    tall = member("Anna", "1", "tall")
    now = desired(tall, BERT, location="The Forge", action="waving")

    [passed] = settle_all(desired(ANNA), [(0, now)])

    assert passed == desired(tall, location="The Forge", action="waving")


def test_each_newcomer_has_a_time_of_its_own() -> None:
    both, bert = desired(ANNA, BERT), desired(BERT)

    passed = settle_all(desired(), [(0, bert), (5, both), (10, both), (14, both), (15, both)])

    assert [names(one) for one in passed] == [[], [], ["Bert"], ["Bert"], ["Bert", "Anna"]]


GROUPS = st.sets(st.sampled_from(["1", "2", "3"])).map(
    lambda ids: desired(*(member(f"player {one}", one) for one in sorted(ids)))
)


@given(GROUPS, st.lists(GROUPS, max_size=10))
def test_a_group_that_lasts_is_always_told_in_the_end(before: Desired, seen: list[Desired]) -> None:
    lasting = seen[-1] if seen else before
    times = [(float(at * 3), one) for at, one in enumerate([*seen, lasting])]

    passed = settle_all(before, [*times, (times[-1][0] + SETTLE, lasting)])

    assert set(passed[-1].members) == set(lasting.members)


@given(GROUPS, st.lists(GROUPS, max_size=10))
def test_nobody_is_invented_and_nobody_stands_there_twice(
    before: Desired, seen: list[Desired]
) -> None:
    met = {one.id for group in (before, *seen) for one in group.members}

    for passed in settle_all(before, [(float(at), one) for at, one in enumerate(seen)]):
        ids = [one.id for one in passed.members]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= met
