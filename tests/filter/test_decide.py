"""Why an NPC's memory needs an update, as tables of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.decide import Policy, decide, difference
from streams.settings import Mode, Settings, Staleness
from tests.filter.town import NOON, desired, member, state
from topics.models import Desired, Member, Reason

ANNA, BERT = member("Anna", "1"), member("Bert", "2")
SAME = desired(ANNA, BERT)
MODES = pytest.mark.parametrize("mode", list(Mode))


@MODES
def test_an_npc_never_seen_before_is_first_seen(mode: Mode) -> None:
    assert decide(None, desired(), NOON, Policy(mode=mode)) is Reason.FIRST_SEEN


CHANGES = {
    "somebody came": (desired(ANNA, BERT, member("Carl", "3")), Reason.MEMBERS),
    "somebody left": (desired(ANNA), Reason.MEMBERS),
    "everybody left": (desired(), Reason.MEMBERS),
    "one left and one came": (desired(ANNA, member("Carl", "3")), Reason.MEMBERS),
    "a new place": (desired(ANNA, BERT, location="The Forge"), Reason.LOCATION),
    "a new action": (desired(ANNA, BERT, action="waving"), Reason.ACTION),
    "an appearance": (desired(member("Anna", "1", "tall"), BERT), Reason.PROFILE),
    "a new name": (desired(member("Hanna", "1"), BERT), Reason.PROFILE),
    "an id became known": (desired(member("Anna", "1001"), BERT), Reason.PROFILE),
    "an id became known, and she left": (desired(member("Anna", "1001")), Reason.MEMBERS),
}


@MODES
@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_has_a_reason_in_every_mode(mode: Mode, change: str) -> None:
    after, reason = CHANGES[change]

    assert decide(state(ANNA, BERT), after, NOON + 1, Policy(mode=mode)) is reason


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (desired(member("Anna", "1", "tall"), location="x", action="y"), Reason.MEMBERS),
        (desired(member("Anna", "1", "tall"), BERT, location="x", action="y"), Reason.LOCATION),
        (desired(member("Anna", "1", "tall"), BERT, action="y"), Reason.ACTION),
        (desired(member("Anna", "1", "tall"), BERT), Reason.PROFILE),
    ],
)
def test_of_several_differences_the_weightiest_is_told(after: Desired, reason: Reason) -> None:
    assert difference(SAME, after) is reason


@pytest.mark.parametrize("after", [SAME, desired(BERT, ANNA)])
def test_the_order_of_members_is_no_difference(after: Desired) -> None:
    assert difference(SAME, after) is None


def test_case_of_a_name_alone_makes_nobody_come_or_go() -> None:
    assert difference(SAME, desired(member("ANNA", "1001"), BERT)) is Reason.PROFILE


# seconds since the last snapshot, since the last full push, and the reason under each policy
DUE = [
    (3, 3, None, None),
    (29, 29, None, None),
    (30, 30, None, None),
    (30.5, 30.5, Reason.STALE, Reason.STALE),
    (3, 31, None, Reason.STALE),
    (3, 299, None, Reason.STALE),
    (3, 300, Reason.FORCE_REFRESH, Reason.STALE),
    (3, 5000, Reason.FORCE_REFRESH, Reason.STALE),
    (40, 299, Reason.STALE, Reason.STALE),
    (40, 300, Reason.FORCE_REFRESH, Reason.STALE),
    (-5, -5, None, None),
]


@pytest.mark.parametrize(("silent", "pushed", "gap", "seed"), DUE)
def test_an_unchanged_state_is_due_by_policy(
    silent: float, pushed: float, gap: Reason | None, seed: Reason | None
) -> None:
    before = state(ANNA, BERT, last_updated=NOON - silent, last_force_refresh=NOON - pushed)

    assert decide(before, SAME, NOON, Policy()) is gap
    assert decide(before, SAME, NOON, Policy(staleness=Staleness.SEED)) is seed


def test_the_forced_refresh_of_the_seed_comes_when_nothing_counts_as_stale() -> None:
    policy = Policy(
        staleness=Staleness.SEED, stale_data_threshold=600.0, force_refresh_interval=300.0
    )
    before = state(ANNA, BERT, last_force_refresh=NOON - 300)

    assert decide(before, SAME, NOON, policy) is Reason.FORCE_REFRESH


@pytest.mark.parametrize(("silent", "pushed", "gap", "seed"), DUE)
def test_direct_sends_every_snapshot_and_filtered_none_that_is_the_same(
    silent: float, pushed: float, gap: Reason | None, seed: Reason | None
) -> None:
    before = state(ANNA, BERT, last_updated=NOON - silent, last_force_refresh=NOON - pushed)

    assert decide(before, SAME, NOON, Policy(mode=Mode.DIRECT)) is Reason.FORCE_REFRESH
    assert decide(before, SAME, NOON, Policy(mode=Mode.FILTERED)) is None


def test_the_settings_of_a_worker_become_its_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "STALENESS", "STALE_DATA_THRESHOLD", "FORCE_REFRESH_INTERVAL"):
        monkeypatch.delenv(f"ROLLCALL_{name}", raising=False)

    assert Policy.of(Settings()) == Policy()
    assert Policy.of(
        Settings(
            mode=Mode.DIRECT,
            staleness=Staleness.SEED,
            stale_data_threshold=7,
            force_refresh_interval=70,
        )
    ) == Policy(Mode.DIRECT, Staleness.SEED, 7.0, 70.0)


PEOPLE = st.builds(
    Member,
    id=st.sampled_from(["1", "2", "3"]),
    name=st.sampled_from(["Anna", "Bert"]),
    appearance=st.sampled_from(["", "tall"]),
)
GROUPS = st.lists(PEOPLE, unique_by=lambda one: one.id, max_size=3)
STATES = st.builds(
    lambda members, location, action: desired(*members, location=location, action=action),
    GROUPS,
    st.sampled_from(["here", "there"]),
    st.sampled_from(["idle", "waving"]),
)


@given(STATES, STATES)
def test_there_is_a_reason_exactly_where_something_differs(before: Desired, after: Desired) -> None:
    told = difference(before, after)

    assert (told is None) == (
        set(before.members) == set(after.members)
        and (before.location, before.action) == (after.location, after.action)
    )
    assert (told is None) == (difference(after, before) is None)


@given(STATES, st.randoms())
def test_no_shuffle_of_the_members_is_a_reason(before: Desired, random: object) -> None:
    members = list(before.members)
    random.shuffle(members)  # type: ignore[attr-defined]

    shuffled = desired(*members, location=before.location, action=before.action)
    assert difference(before, shuffled) is None
