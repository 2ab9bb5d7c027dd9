from streams.writer.priority import LEVELS, NAMES, is_watched, level_of
from tests.writer.commands import ALICE
from topics.models import Desired, Member, Reason

NEWS = [Reason.MEMBERS, Reason.LOCATION, Reason.PROFILE]
UPKEEP = [Reason.STALE, Reason.FORCE_REFRESH, Reason.VERIFY]


def test_news_of_watched_npcs_goes_before_all_other_news_and_that_before_upkeep() -> None:
    order = [level_of(reason, is_watched=watched) for watched in (True, False) for reason in NEWS]
    order += [
        level_of(reason, is_watched=watched) for reason in UPKEEP for watched in (True, False)
    ]

    assert list(range(LEVELS)) == order


def test_the_first_sight_of_an_npc_is_as_urgent_as_who_stands_there() -> None:
    assert level_of(Reason.MEMBERS, is_watched=True) == level_of(Reason.FIRST_SEEN, is_watched=True)
    assert level_of(Reason.LOCATION, is_watched=True) == level_of(Reason.ACTION, is_watched=True)


def test_every_reason_has_a_level() -> None:
    levels = {
        level_of(reason, is_watched=watched) for reason in Reason for watched in (True, False)
    }

    assert set(range(LEVELS)) == levels


def test_an_npc_is_watched_while_anybody_stands_there_who_is_no_npc() -> None:
    guard = Member(id="npc-2", name="Guard")

    assert is_watched(Desired(members=(guard, ALICE)), {"npc-2"}.__contains__)
    assert not is_watched(Desired(members=(guard,)), {"npc-2"}.__contains__)
    assert not is_watched(Desired(), {"npc-2"}.__contains__)


def test_each_level_has_a_name_of_its_own() -> None:
    named = {
        NAMES[level_of(reason, is_watched=watched)]
        for reason in (Reason.MEMBERS, Reason.ACTION, Reason.STALE, Reason.VERIFY)
        for watched in (True, False)
    }

    assert {
        *("watched_members", "members", "watched_place", "place"),
        *("watched_stale", "stale", "watched_verify", "verify"),
    } == named
