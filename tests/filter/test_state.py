"""The values of the filter's two Tables."""

import json
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.filter import sighting, state
from streams.filter.players import Player
from streams.filter.state import DamagedStateError, GroupState
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
    silent=st.booleans(),
)
GOOD = state.dump(
    GroupState(
        desired=Desired(),
        last_updated=1.0,
        last_force_refresh=1.0,
        source=Source(topic="t", partition=0, offset=0),
    )
)
UNSEALED = b"{" + GOOD.partition(b",")[2]
"""As an older worker wrote it."""
UNREADABLE = {
    "another checksum": GOOD.replace(GOOD[8:16], b"00000000"),
    "a checksum cut short": GOOD[:12],
    "another time than the checksum says": GOOD.replace(b":1.0", b":2.0"),
    "no JSON": b"{nope",
    "no object": b"[1]",
    "half of it": UNSEALED[:-9],
    "no UTF-8": UNSEALED.replace(b'"t"', b'"\xff"'),
    "a field missing": b"{}",
    "another type": UNSEALED.replace(b'"last_updated":1.0', b'"last_updated":"noon"'),
    "nested too deeply": UNSEALED[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
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


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_value_that_cannot_be_read_is_told_from_none(kind: str) -> None:
    assert state.read(None) is None
    with pytest.raises(DamagedStateError):
        state.read(UNREADABLE[kind])


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_a_state_fail(value: bytes) -> None:
    assert state.load(value) is None


@given(STATES, st.data())
def test_no_flipped_bit_goes_unnoticed(one: GroupState, data: st.DataObject) -> None:
    """A flip in the name of the checksum leaves a state that is read by its schema alone."""
    value = bytearray(state.dump(one))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert state.load(bytes(value)) in (None, one)


def test_a_state_of_an_older_version_has_no_checksum_and_is_read() -> None:
    assert state.read(UNSEALED) == state.read(GOOD)


def test_a_state_of_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    rest = GOOD.partition(b",")[2][:-1] + b',"mood":"fine"}'
    sealed = b'{"crc":"%08x",%b' % (crc32(rest), rest)

    assert state.read(sealed) == state.read(GOOD)


def test_the_value_is_one_json_object_with_its_checksum_first() -> None:
    value = json.loads(GOOD)

    assert ["crc", "desired", "last_updated", "last_force_refresh", "source"] == list(value)


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
