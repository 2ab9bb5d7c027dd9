"""Who stands with an NPC, once each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.members import continuing, members_of
from streams.filter.players import PlayerCache
from tests.filter.town import ALICE, BOB, NPC, member, players, profile, roster, snapshot
from topics.models import Member, PlayerRef, RosterEntry
from topics.roster import Roster
from topics.text import fold

NOBODY = players()
ALICE_KNOWN = players(profile())


def group(
    *near: PlayerRef,
    cluster: tuple[str, ...] = (),
    cache: PlayerCache = NOBODY,
    entries: Roster | None = None,
) -> list[Member]:
    seen = snapshot(*near, cluster=cluster)
    return list(members_of(seen, entries or roster(), cache))


def bare(text: str) -> PlayerRef:
    return PlayerRef(id=text, name=text)


def test_a_nearby_player_is_a_member() -> None:
    assert group(ALICE) == [member("Alice", "1001")]


def test_a_nearby_player_has_the_appearance_of_the_profile() -> None:
    assert group(ALICE, cache=ALICE_KNOWN) == [member("Alice", "1001", "tall, red scarf")]


def test_the_same_player_named_by_the_cluster_is_not_repeated() -> None:
    assert group(ALICE, cluster=("Alice", "ALICE")) == [member("Alice", "1001")]


@pytest.mark.parametrize("name", ["Greta", "GRETA", "Miss Greta"])
def test_an_npc_named_by_the_cluster_comes_from_the_roster(name: str) -> None:
    assert group(cluster=(name,)) == [member("Miss Greta", "npc-1", "a baker")]


def test_an_npc_named_twice_stands_there_once() -> None:
    assert group(cluster=("Greta", "Miss Greta")) == [member("Miss Greta", "npc-1", "a baker")]


def test_an_npc_without_a_display_name_is_called_by_its_name() -> None:
    entries = roster(RosterEntry(npc_id="npc-2", name="Fritz"))

    assert group(cluster=("fritz",), entries=entries) == [member("Fritz", "npc-2")]


def test_a_player_known_to_the_cache_is_named_by_the_cluster() -> None:
    assert group(cluster=("Alice",), cache=ALICE_KNOWN) == [
        member("Alice", "1001", "tall, red scarf")
    ]


def test_a_player_unknown_so_far_is_a_member_by_name() -> None:
    assert group(cluster=("Alice",)) == [member("Alice", "Alice")]


def test_a_player_unknown_so_far_stands_there_once_however_it_is_spelt() -> None:
    assert group(cluster=("Alice", "ALICE", "alice")) == [member("Alice", "Alice")]


@pytest.mark.parametrize("name", [NPC, "Otto", "OTTO", "Otto the Smith"])
def test_the_npc_itself_is_left_out(name: str) -> None:
    assert group(ALICE, cluster=(name,)) == [member("Alice", "1001")]


def test_the_npc_itself_is_left_out_where_it_is_a_nearby_player() -> None:
    assert group(PlayerRef(id=NPC, name="Otto")) == []


def test_an_npc_that_no_roster_knows_leaves_itself_out_by_id() -> None:
    seen = snapshot(npc_id="npc-new", cluster=("npc-new", "Greta"))

    found = members_of(seen, roster(), NOBODY)

    assert [one.id for one in found] == ["npc-1"]


def test_a_bare_id_has_the_name_of_the_cache() -> None:
    assert group(bare("1001"), cache=ALICE_KNOWN) == [member("Alice", "1001", "tall, red scarf")]


def test_a_bare_name_has_the_id_of_the_cache() -> None:
    assert group(bare("Alice"), cache=ALICE_KNOWN) == [member("Alice", "1001", "tall, red scarf")]


def test_a_bare_id_that_nobody_knows_is_a_member_by_id() -> None:
    assert group(bare("1001")) == [member("1001", "1001")]


def test_a_bare_id_is_left_out_while_the_cluster_names_somebody_unknown() -> None:
    assert group(bare("1001"), cluster=("Alice",)) == [member("Alice", "Alice")]


def test_a_bare_id_stays_when_all_whom_the_cluster_names_are_known() -> None:
    assert group(bare("1001"), cluster=("Greta",)) == [
        member("1001", "1001"),
        member("Miss Greta", "npc-1", "a baker"),
    ]


def test_a_bare_name_that_the_cluster_names_too_stays() -> None:
    assert group(bare("Alice"), cluster=("Alice", "Bob")) == [
        member("Alice", "Alice"),
        member("Bob", "Bob"),
    ]


def test_a_player_given_by_name_alone_and_with_an_id_stands_there_once() -> None:
    assert group(bare("Alice"), ALICE) == [member("Alice", "1001")]
    assert group(ALICE, bare("ALICE")) == [member("Alice", "1001")]


def test_two_players_of_one_name_are_two_members() -> None:
    twin = PlayerRef(id="1003", name="Alice")

    assert [one.id for one in group(ALICE, twin, cluster=("Alice",))] == ["1001", "1003"]


def test_nearby_players_come_first_and_then_the_cluster_in_its_order() -> None:
    found = group(BOB, cluster=("Zoë", "Greta", "Bob", "Adam"))

    assert [one.name for one in found] == ["Bob", "Zoë", "Miss Greta", "Adam"]


def test_a_bare_name_that_is_an_npcs_own_is_that_npc() -> None:
    found = group(bare("Miss Greta"), cluster=("Greta",))

    assert [("npc-1", "Miss Greta")] == [(one.id, one.name) for one in found]


def test_a_name_the_game_gives_an_id_counts_more_than_the_one_remembered() -> None:
    cache = players(profile(player_id="1002", name="Alice"))

    found = group(PlayerRef(id="1002", name="Bob"), bare("Alice"), cluster=("Bob",), cache=cache)

    assert [("1002", "Bob"), ("Alice", "Alice")] == [(one.id, one.name) for one in found]


NAMES = st.sampled_from(
    ["Alice", "ALICE", "Bob", "Greta", "Miss Greta", "Otto", "Nobody", "1001", "1002", NPC]
)
IDS = st.sampled_from(["1001", "1002", "1003", "npc-1"])
NEAR = st.lists(st.builds(PlayerRef, id=IDS, name=NAMES) | NAMES.map(bare), max_size=5)
PROFILES = st.lists(
    st.builds(profile, player_id=st.sampled_from(["1001", "1002"]), name=NAMES), max_size=3
)


@given(NEAR, st.lists(NAMES, max_size=6), PROFILES)
def test_nobody_is_a_member_twice(
    near: list[PlayerRef], cluster: list[str], profiles: list[object]
) -> None:
    cache = players(*profiles)  # type: ignore[arg-type]
    unique = {one.id: one for one in near}

    found = group(*unique.values(), cluster=tuple(dict.fromkeys(cluster)), cache=cache)

    assert len({one.id for one in found}) == len(found)
    assert NPC not in {one.id for one in found}
    by_name_alone = [fold(one.name) for one in found if one.id == one.name]
    with_id = {fold(one.name) for one in found if one.id != one.name}
    assert len(set(by_name_alone)) == len(by_name_alone)
    assert not with_id & set(by_name_alone)


@given(NEAR, st.lists(NAMES, max_size=6), PROFILES)
def test_everybody_named_by_the_cluster_is_there(
    near: list[PlayerRef], cluster: list[str], profiles: list[object]
) -> None:
    cache = players(*profiles)  # type: ignore[arg-type]

    found = group(*{one.id: one for one in near}.values(), cluster=tuple(cluster), cache=cache)

    ids, called = {one.id for one in found}, {fold(one.name) for one in found}
    for name in cluster:
        npc = roster().by_name(name)
        if npc:
            assert npc.npc_id in ids | {NPC} or fold(name) in called
        elif name != NPC:
            assert fold(name) in called or cache.id_of(name) in ids or name in ids


# ---------------------------------------------------------------- the same members as before

ANNA, BERT, CARL = (member(name) for name in ("Anna", "Bert", "Carl"))


def test_members_keep_the_order_in_which_they_came() -> None:
    assert continuing([ANNA, BERT], (CARL, BERT, ANNA), 9) == (ANNA, BERT, CARL)


def test_who_left_is_gone() -> None:
    assert continuing([ANNA, BERT], (BERT,), 9) == (BERT,)


def test_an_appearance_known_before_stays_where_none_is_known_now() -> None:
    tall = member("Anna", appearance="tall")

    assert continuing([tall], (ANNA,), 9) == (tall,)


def test_an_appearance_known_now_replaces_the_one_before() -> None:
    tall, small = member("Anna", appearance="tall"), member("Anna", appearance="small")

    assert continuing([tall], (small,), 9) == (small,)


def test_of_a_crowd_beyond_the_limit_those_stay_who_were_there_before() -> None:
    assert continuing([BERT], (ANNA, BERT, CARL), 2) == (BERT, ANNA)


def test_a_crowd_of_ten_thousand_is_bounded() -> None:
    names = tuple(f"Visitor {number}" for number in range(10_000))

    crowd = tuple(group(ALICE, cluster=names))

    assert continuing([], crowd, 100) == crowd[:100]
    assert crowd[0] == member("Alice", "1001")


@given(st.lists(st.sampled_from([ANNA, BERT, CARL]), unique=True), st.permutations([ANNA, BERT]))
def test_continuing_adds_and_takes_away_nobody(before: list[Member], now: list[Member]) -> None:
    assert set(continuing(before, tuple(now), 9)) == set(now)
