"""How far back explain looks, and what it tells once."""

from hypothesis import given
from hypothesis import strategies as st

from ops.explain.account import Account, Fate, Seen, Sent
from ops.explain.looking import BACK, WAIT, Told, looks
from topics.models import Desired, Outcome, Reason, Source, UpdateCommand, UpdateResult

PLACE = Source(topic="npc-snapshots", partition=0, offset=0)


def suppressed(at: float, offset: int = 0) -> Account:
    return Account(Seen(("npc-snapshots", 0, offset), at, None), Fate.SUPPRESSED, "nothing differs")


def sent(at: float, result: UpdateResult | None) -> Account:
    command = UpdateCommand(
        command_id="c",
        npc_id="n",
        reason=Reason.MEMBERS,
        observed_at=at,
        issued_at=at,
        source=PLACE,
        desired=Desired(members=()),
    )
    seen = Seen(("npc-snapshots", 0, 0), at, None)
    return Account(seen, Fate.SENT, "members", Sent(command, result, ()))


def result() -> UpdateResult:
    return UpdateResult(
        command_id="c",
        npc_id="n",
        reason=Reason.MEMBERS,
        outcome=Outcome.APPLIED,
        observed_at=100.0,
        finished_at=100.2,
    )


def test_each_look_goes_eight_times_as_far_back_and_the_last_as_far_as_asked() -> None:
    found = list(looks(0.0, 3600.0, 60.0))

    assert [3540.0, 3120.0, 0.0] == found


@given(since=st.floats(0, 1e9), reach=st.floats(0, 1e6), first=st.floats(1.0, 1000.0))
def test_looks_go_back_in_time_and_end_where_it_was_asked(
    since: float, reach: float, first: float
) -> None:
    found = list(looks(since, since + reach, first))

    assert since == found[-1]
    assert sorted(set(found), reverse=True) == found


def test_a_snapshot_whose_result_is_known_is_told_at_once_and_once() -> None:
    told = Told(100.0)
    done = sent(100.0, result())

    first, second = told.take([done], 100.3), told.take([done], 100.6)

    assert [done] == first
    assert [] == second


def test_a_snapshot_without_a_result_is_told_once_it_has_waited() -> None:
    told = Told(100.0)
    waiting = sent(100.0, None)

    early, late = told.take([waiting], 100.0 + WAIT), told.take([waiting], 100.1 + WAIT)

    assert [] == early
    assert [waiting] == late


def test_what_came_before_the_following_began_is_not_told() -> None:
    told = Told(100.0)

    found = told.take([suppressed(99.0), suppressed(101.0, 1)], 200.0)

    assert [suppressed(101.0, 1)] == found


@given(st.lists(st.floats(0.1, 2 * BACK), min_size=1, max_size=30))
def test_who_follows_reads_a_bounded_stretch_and_tells_each_snapshot_once(
    gaps: list[float],
) -> None:
    told, at, heard = Told(0.0), 0.0, list[Account]()
    for offset, gap in enumerate(gaps):
        at += gap
        one = suppressed(at, offset)
        assert told.since <= at
        heard += told.take([one], at + WAIT + 0.1)
        heard += told.take([one], at + WAIT + 0.2)

    assert list(range(len(gaps))) == [one.seen.place[2] for one in heard]
    assert max(0.0, at - BACK) == told.since
