"""The values of the filter's two Tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter import sighting, state
from streams.filter.players import Player
from streams.filter.state import GroupState
from topics.models import Desired, Member, Source

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SECONDS = st.floats(0, 1e11)
DESIRED = st.builds(
    Desired,
    members=st.lists(st.builds(Member, id=TEXT, name=TEXT, appearance=TEXT)).map(tuple),
    location=TEXT,
    action=TEXT,
)
STATES = st.builds(
    GroupState,
    desired=DESIRED,
    last_updated=SECONDS,
    last_force_refresh=SECONDS,
    source=st.builds(
        Source, topic=TEXT, partition=st.integers(0, 7), offset=st.integers(0, 2**63 - 1)
    ),
)
GOOD = state.dump(
    GroupState(
        desired=Desired(),
        last_updated=1.0,
        last_force_refresh=1.0,
        source=Source(topic="t", partition=0, offset=0),
    )
)
UNREADABLE = {
    "no JSON": b"{nope",
    "no object": b"[1]",
    "half of it": GOOD[:-9],
    "no UTF-8": GOOD.replace(b'"t"', b'"\xff"'),
    "a field missing": b"{}",
    "another type": GOOD.replace(b'"last_updated":1.0', b'"last_updated":"noon"'),
    "nested too deeply": GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@given(STATES)
def test_a_state_is_read_back_as_it_was(one: GroupState) -> None:
    assert state.load(state.dump(one)) == one


@pytest.mark.parametrize("nothing", [None, b""])
def test_no_value_is_no_state(nothing: bytes | None) -> None:
    assert state.load(nothing) is None


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_value_that_cannot_be_read_is_no_state(kind: str) -> None:
    assert state.load(UNREADABLE[kind]) is None


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_a_state_fail(value: bytes) -> None:
    assert state.load(value) is None


def test_a_state_of_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    assert state.load(GOOD[:-1] + b',"mood":"fine"}') == state.load(GOOD)


# ---------------------------------------------------------------- sightings


@given(st.integers(0, 100), TEXT, TEXT, SECONDS)
def test_a_sighting_is_read_back_as_it_was(
    partition: int, identity: str, name: str, at: float
) -> None:
    key, value = sighting.dump(partition, Player(identity, name, "tall", at, at))

    found = sighting.load(key, value)

    assert found == Player(identity, name, last_seen=at)


def test_the_same_player_is_another_entry_in_another_partition() -> None:
    player = Player("1001", "Alice", last_seen=1.0)

    assert sighting.dump(1, player)[0] != sighting.dump(2, player)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"", b'{"name":"a","last_seen":1}'),
        (b"1001", b'{"name":"a","last_seen":1}'),
        (b"x/1001", b'{"name":"a","last_seen":1}'),
        (b"1/\xff", b'{"name":"a","last_seen":1}'),
        (b"1/1001", b""),
        (b"1/1001", b'{"name":"a"}'),
        (b"1/1001", b'{"name":3,"last_seen":1}'),
        (b"1/1001", b'{"name":"\xff","last_seen":1}'),
        (b"1/1001", b'{"x":' + b"[" * 100_000),
    ],
)
def test_a_sighting_that_cannot_be_read_is_nobody(key: bytes, value: bytes) -> None:
    assert sighting.load(key, value) is None
