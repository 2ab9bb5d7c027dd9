"""The player cache: two sources in any order, and an end to everything nobody sees any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter.players import PlayerCache, is_unknown
from tests.filter.town import NOON, TTL, players, profile
from topics.text import fold


@pytest.mark.parametrize("says_nothing", ["", "  ", "Unknown", "UNKNOWN ", "n/a", "none"])
def test_a_description_that_says_nothing_never_replaces_a_real_one(says_nothing: str) -> None:
    cache = players(profile(description="tall"))

    told = cache.learn(profile(description=says_nothing), NOON + 1)

    assert is_unknown(says_nothing)
    assert not told
    assert cache.appearance("1001") == "tall"


def test_a_real_description_replaces_the_one_before() -> None:
    cache = players(profile(description="tall"))

    assert cache.learn(profile(description="tall, with a hat"), NOON + 1)
    assert cache.appearance("1001") == "tall, with a hat"


def test_a_description_known_already_tells_nothing_new() -> None:
    cache = players(profile(description="tall"))

    assert not cache.learn(profile(description="tall"), NOON + 1)


def test_a_name_that_only_repeats_the_id_never_replaces_a_real_one() -> None:
    cache = players(profile(name="Alice"))

    cache.see("1001", "1001", NOON + 1)
    cache.learn(profile(name="1001"), NOON + 2)

    alice = cache.get("1001")
    assert alice
    assert alice.name == "Alice"
    assert cache.id_of("Alice") == "1001"


def test_a_sighting_before_the_profile_is_as_good_as_one_after_it() -> None:
    before, after = PlayerCache(TTL), PlayerCache(TTL)

    before.see("1001", "Alice", NOON)
    before.learn(profile(), NOON - 60)
    after.learn(profile(), NOON - 60)
    after.see("1001", "Alice", NOON)

    for cache in (before, after):
        alice = cache.get("1001")
        assert alice
        assert (alice.name, alice.description) == ("Alice", "tall, red scarf")
        assert alice.last_seen == NOON


def test_a_player_is_found_by_name_in_any_case() -> None:
    cache = players(profile(name="Zoë Ångström"))

    assert cache.id_of("ZOË ÅNGSTRÖM") == "1001"


def test_a_new_name_is_found_and_the_old_one_is_free() -> None:
    cache = players(profile(name="Alice"))

    cache.see("1001", "Alicia", NOON + 1)

    assert cache.id_of("alicia") == "1001"
    assert cache.id_of("Alice") is None


def test_of_two_players_with_one_name_the_last_seen_is_meant() -> None:
    cache = players()

    cache.see("1", "Max", NOON)
    cache.see("2", "Max", NOON + 1)
    assert cache.id_of("Max") == "2"

    cache.see("1", "Max", NOON + 2)
    assert cache.id_of("Max") == "1"


def test_when_one_of_two_with_one_name_is_gone_the_name_means_the_other() -> None:
    cache = players()
    cache.see("1", "Max", NOON)
    cache.see("2", "Max", NOON + 1)

    cache.forget("2")

    assert cache.id_of("Max") == "1"


def test_whom_nobody_saw_for_the_ttl_is_forgotten() -> None:
    cache = players(ttl=60)
    cache.see("1", "Alice", NOON)
    cache.see("2", "Bob", NOON + 30)

    assert cache.expire(NOON + 60) == []
    assert cache.expire(NOON + 61) == ["1"]
    assert (cache.id_of("Alice"), cache.id_of("Bob")) == (None, "2")


def test_a_sighting_keeps_a_player_for_another_ttl() -> None:
    cache = players(profile(), ttl=60)

    cache.see("1001", "Alice", NOON + 50)

    assert cache.expire(NOON + 100) == []


def test_a_profile_counts_as_seen_when_it_says_so() -> None:
    cache = players(profile(last_seen=NOON - 30), ttl=60)

    assert cache.expire(NOON + 29) == []
    assert cache.expire(NOON + 31) == ["1001"]


def test_a_profile_from_the_future_lasts_no_longer_than_its_record() -> None:
    cache = players(profile(last_seen=NOON + 1e9), ttl=60)

    assert cache.expire(NOON + 61) == ["1001"]


def test_a_player_deleted_by_the_game_is_gone_at_once() -> None:
    cache = players(profile())

    cache.forget("1001")

    assert (len(cache), cache.get("1001"), cache.id_of("Alice")) == (0, None, None)


def test_nobody_is_missing_while_nobody_was_forgotten() -> None:
    cache = players(profile())

    cache.see("2", "Bob", NOON)

    assert cache.take_missing() == set()


def test_a_forgotten_player_who_is_seen_again_is_missing_once() -> None:
    cache = players(profile(), ttl=60)
    cache.expire(NOON + 61)

    cache.see("1001", "Alice", NOON + 70)

    assert cache.take_missing() == {"1001"}
    assert cache.take_missing() == set()


def test_somebody_without_a_profile_is_not_missed_again_and_again() -> None:
    cache = players(profile(), ttl=60)
    cache.expire(NOON + 61)
    cache.see("Wanderer", "Wanderer", NOON + 70)
    assert cache.take_missing() == {"Wanderer"}

    cache.see("Wanderer", "Wanderer", NOON + 73)

    assert cache.take_missing() == set()


def test_whoever_is_forgotten_a_second_time_is_missed_a_second_time() -> None:
    cache = players(profile(), ttl=60)
    for round_ in (1, 2):
        assert cache.expire(NOON + 1000 * round_) == ["1001"]

        cache.see("1001", "Alice", NOON + 1000 * round_ + 1)

        assert cache.take_missing() == {"1001"}


def test_a_recalled_profile_brings_the_description_back() -> None:
    cache = players(profile(), ttl=60)
    cache.expire(NOON + 61)
    cache.see("1001", "Alice", NOON + 70)

    assert cache.learn(profile(), NOON)

    assert cache.appearance("1001") == "tall, red scarf"
    assert cache.expire(NOON + 100) == []


def test_a_sighting_is_stored_when_it_is_new_and_then_a_quarter_of_the_ttl_apart() -> None:
    cache = players(ttl=100)

    stored = [cache.see("1", "Alice", NOON + at) for at in range(0, 101, 5)]

    assert [at * 5 for at, worth in enumerate(stored) if worth] == [0, 25, 50, 75, 100]


def test_a_bare_id_is_nothing_to_remember() -> None:
    cache = players()

    assert not cache.see("1001", "1001", NOON)
    assert len(cache) == 0


def test_a_restart_takes_up_the_sightings_where_they_were() -> None:
    cache = players(ttl=100)

    cache.restore("1", "Alice", NOON)

    assert cache.id_of("Alice") == "1"
    assert not cache.see("1", "Alice", NOON + 24)
    assert cache.see("1", "Alice", NOON + 25)


def test_sightings_are_counted_as_hits_and_misses_since_the_last_look() -> None:
    cache = players(profile())
    for who in ("1001", "1001", "2"):
        cache.see(who, f"player {who}", NOON)

    assert cache.take_counts() == (2, 1)
    assert cache.take_counts() == (0, 0)


PEOPLE = st.sampled_from(["1", "2", "3", "4"])
NAMES = st.sampled_from(["Alice", "ALICE", "Bob", "Zoë", "1", "2"])
DESCRIPTIONS = st.sampled_from(["", "Unknown", "tall", "small"])
TIMES = st.integers(0, 500).map(lambda at: NOON + at)
profiles = st.tuples(st.just("learn"), PEOPLE, NAMES, DESCRIPTIONS, TIMES)
sightings = st.tuples(st.just("see"), PEOPLE, NAMES, st.just(""), TIMES)
deletions = st.tuples(st.just("forget"), PEOPLE, st.just(""), st.just(""), TIMES)
ends = st.tuples(st.just("expire"), st.just(""), st.just(""), st.just(""), TIMES)


def feed(cache: PlayerCache, event: tuple[str, str, str, str, float]) -> None:
    what, who, name, description, at = event
    match what:
        case "learn":
            cache.learn(profile(who, name, description), at)
        case "see":
            cache.see(who, name, at)
        case "forget":
            cache.forget(who)
        case "expire":
            cache.expire(at)


@given(st.lists(profiles | sightings | deletions | ends, max_size=30))
def test_every_name_leads_to_a_player_who_has_it(
    events: list[tuple[str, str, str, str, float]],
) -> None:
    cache = players(ttl=100)

    for event in events:
        feed(cache, event)

    for name in ("alice", "bob", "zoë"):
        found = cache.id_of(name)
        if found is not None:
            holder = cache.get(found)
            assert holder
            assert fold(holder.name) == name


@given(st.lists(profiles | sightings, max_size=30))
def test_a_real_description_once_learnt_never_becomes_empty(
    events: list[tuple[str, str, str, str, float]],
) -> None:
    cache, known = players(), set()
    for event in events:
        feed(cache, event)

        known |= {player.id for player in cache if player.description}
        assert all(cache.appearance(player_id) for player_id in known)


@given(st.lists(profiles | sightings, max_size=40), st.integers(0, 1000))
def test_memory_holds_only_who_was_seen_within_the_ttl(
    events: list[tuple[str, str, str, str, float]], later: int
) -> None:
    cache = players(ttl=100)
    for event in events:
        feed(cache, event)

    cache.expire(NOON + later)

    newest = {who: max(e[4] for e in events if e[1] == who) for who in {e[1] for e in events}}
    within = {who for who, at in newest.items() if NOON + later - at <= 100}
    assert {player.id for player in cache} <= within
    assert all(cache.id_of(p.name) is not None for p in cache if p.name != p.id)


def test_a_hundred_thousand_visitors_leave_nothing_behind() -> None:
    cache = players(ttl=60)
    for number in range(100_000):
        cache.see(f"player {number}", f"Visitor {number}", NOON + number)
        if number % 1000 == 0:
            cache.expire(NOON + number)
            cache.take_missing()

    cache.expire(NOON + 100_000)
    cache.take_missing()

    assert len(cache) <= 61
    assert len(cache._holders) + len(cache._missing) + len(cache._asked_for) <= 2 * 61


def test_a_player_of_a_hundred_thousand_names_leaves_none_of_them_behind() -> None:
    cache = players(ttl=60)

    for number in range(100_000):
        cache.see("1001", f"Visitor {number}", NOON + number / 1000)

    assert len(cache._changed) + len(cache._holders) <= 4
