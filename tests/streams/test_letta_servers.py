from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.home import hash_of, home_of, letta_number_of, letta_of
from streams.letta_servers import LettaServer, UnknownServerError, letta_servers, number_of
from streams.settings import Settings
from topics.models import RosterEntry

ONE, TWO, THREE = "http://one:8283", "https://two", "http://three:8283"
SERVERS = letta_servers(f"{ONE}, {TWO}/,{THREE}", None)


def test_several_urls_are_several_servers() -> None:
    assert tuple(map(LettaServer, (ONE, TWO, THREE))) == SERVERS


@given(st.text(min_size=1, max_size=40))
def test_npcs_go_by_the_hash_of_their_key(npc_id: str) -> None:
    assert hash_of(npc_id) % 3 == letta_number_of(npc_id, None, SERVERS)


@given(st.text(min_size=1, max_size=40), st.sampled_from([1, 2, 4, 8]))
def test_servers_that_divide_the_partitions_have_whole_partitions(npc_id: str, count: int) -> None:
    servers = letta_servers(",".join(f"http://letta-{one}" for one in range(count)), None)

    assert home_of(npc_id) % count == letta_number_of(npc_id, None, servers)


@pytest.mark.parametrize("count", [3, 16])
def test_many_npcs_are_shared_out_about_evenly_whatever_the_number(count: int) -> None:
    servers = letta_servers(",".join(f"http://letta-{one}" for one in range(count)), None)

    shares = Counter(letta_number_of(f"npc-{one}", None, servers) for one in range(1000 * count))

    assert all(700 < shares[server] < 1300 for server in range(count))


@pytest.mark.parametrize("named", [TWO, f"{TWO}/"])
def test_the_roster_may_name_one_of_them(named: str) -> None:
    assert 1 == number_of(7, named, SERVERS)


@pytest.mark.parametrize("named", ["http://evil", "2", ONE + ".evil", "http://one"])
def test_the_roster_may_name_no_other(named: str) -> None:
    with pytest.raises(UnknownServerError):
        number_of(7, named, SERVERS)


def test_one_token_is_for_all_and_several_for_one_each() -> None:
    assert ["t", "t"] == [one.token for one in letta_servers(f"{ONE},{TWO}", "t")]
    assert ["a", None] == [one.token for one in letta_servers(f"{ONE},{TWO}", "a, ")]


def test_a_single_server_has_its_token_whatever_signs_it_holds() -> None:
    assert (LettaServer(ONE, "a,b"),) == letta_servers(ONE, "a,b")


def test_a_token_is_in_no_repr() -> None:
    assert "secret" not in repr(letta_servers(ONE, "secret"))


@pytest.mark.parametrize(
    "urls", ["", ",", "one:8283", "ftp://one", "http://", "http://[one", f"{ONE},{ONE}/", f"{ONE},"]
)
def test_what_is_no_list_of_servers_is_refused_at_start_up(urls: str) -> None:
    with pytest.raises(ValidationError, match="letta_url"):
        Settings(letta_url=urls)


def test_a_password_in_a_url_is_not_shown_and_need_not_stand_in_the_roster() -> None:
    [server] = letta_servers("http://user:hidden@one:8283/", None)

    assert "hidden" not in f"{server!r} {server.name}"
    assert 0 == number_of(7, ONE, [server])


def test_another_number_of_tokens_than_servers_is_refused() -> None:
    with pytest.raises(ValidationError, match="holds 3 tokens for the 2 servers"):
        Settings(letta_url=f"{ONE},{TWO}", letta_token="a,b,c")


def test_a_roster_entry_tells_the_server_of_its_npc() -> None:
    entry = RosterEntry(npc_id="npc-1", name="Otto", letta=TWO)

    assert TWO == letta_of("npc-1", entry, SERVERS).url
    assert SERVERS[hash_of("npc-1") % 3] == letta_of("npc-1", None, SERVERS)
