"""The values of the filter's two Tables."""

from zlib import crc32

import msgspec
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
PLAIN = GroupState(
    desired=Desired(),
    last_updated=1.0,
    last_force_refresh=1.0,
    source=Source(topic="t", partition=0, offset=0),
)
GOOD = state.dump(PLAIN)
HEAD = 5


def sealed(body: bytes) -> bytes:
    """In today's form, with the checksum that fits."""
    return b"\x02" + crc32(body).to_bytes(4, "little") + body


def older(one: GroupState) -> bytes:
    """As an older worker wrote it: JSON with a checksum."""
    rest = msgspec.json.encode(one)[1:]
    return b'{"crc":"%08x",%b' % (crc32(rest), rest)


OLD = older(PLAIN)
UNSEALED = msgspec.json.encode(PLAIN)
"""As a worker wrote it that is older still."""
UNREADABLE = {
    "another checksum": GOOD[:1] + b"\0\0\0\0" + GOOD[HEAD:],
    "a checksum cut short": GOOD[:3],
    "another form": b"\x03" + GOOD[1:],
    "half of it": sealed(GOOD[HEAD:-4]),
    "more than it": sealed(GOOD[HEAD:] + b"\0"),
    "no arrays": sealed(b"\x81\xa1a\x01"),
    "another type": sealed(msgspec.msgpack.encode([[], 7, "idle", 1.0, 1.0, "t", 0, 0, False])),
    "no UTF-8": sealed(GOOD[HEAD:].replace(b"\xa1t", b"\xa1\xff")),
    "nested too deeply": sealed(b"\x91" * 100_000),
    "an older one with another checksum": OLD.replace(OLD[8:16], b"00000000"),
    "an older one with a checksum cut short": OLD[:12],
    "an older one with another time than the checksum says": OLD.replace(b":1.0", b":2.0"),
    "no JSON": b"{nope",
    "no object": b"[1]",
    "half of an older one": UNSEALED[:-9],
    "an older one that is no UTF-8": UNSEALED.replace(b'"t"', b'"\xff"'),
    "a field missing": b"{}",
    "an older one with another type": UNSEALED.replace(
        b'"last_updated":1.0', b'"last_updated":"noon"'
    ),
    "an older one nested too deeply": UNSEALED[:-1]
    + b',"x":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
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
    value = bytearray(state.dump(one))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert state.load(bytes(value)) is None


@given(STATES)
def test_a_state_of_an_older_worker_is_read(one: GroupState) -> None:
    assert one == state.read(older(one))
    assert one == state.read(msgspec.json.encode(one))


def test_a_state_of_a_newer_version_is_read_as_far_as_we_know_it() -> None:
    fields = [*msgspec.msgpack.decode(GOOD[HEAD:]), "fine"]

    assert PLAIN == state.read(sealed(msgspec.msgpack.encode(fields)))


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
