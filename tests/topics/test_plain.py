"""A record that is decoded in one go is one that care would decode just so."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topics.decode import DecodeError, careful_snapshot, decode_snapshot
from topics.models import Snapshot
from topics.plain import LARGE, plain_snapshot

letters = st.sampled_from([*"aA7 .-", "\x7f", "\u202e", "\u00e9", "\\", '"', "\t"])
texts = (
    st.text(letters, max_size=8)
    | st.sampled_from(["x" * 100, "x" * 101, "x" * 200, "x" * 201, "Ann", "Bob"])
    | st.sampled_from([7, None, True, 1.5])
)
numbers = st.sampled_from([1, 2.5, -1, -0.0, 1e9, 1.1e9, 1e11, 1.1e11, 1e300, None, "3", True])
times = numbers | st.sampled_from(["2026-11-25T12:00:00Z", 1795426413.25])
players = st.fixed_dictionaries({}, optional={"id": texts, "name": texts, "more": texts})
documents = st.fixed_dictionaries(
    {"npc_id": st.sampled_from(["npc-1", "npc-2", " npc-1", 7, ""]) | texts},
    optional={
        "observed_at": times,
        "cluster": st.lists(texts, max_size=4) | texts,
        "nearby_players": st.lists(players | texts | st.tuples(texts, texts), max_size=3) | texts,
        "location": texts,
        "action": texts,
        "position": st.lists(numbers, max_size=4) | st.tuples(*[numbers] * 3) | texts,
        "other": st.recursive(texts, lambda inner: st.lists(inner, max_size=2), max_leaves=3),
    },
)
values = st.builds(
    lambda document, separators, is_ascii: json.dumps(
        document, separators=separators, ensure_ascii=is_ascii
    ).encode(),
    documents,
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":")]),
    st.booleans(),
)


def told(decode: Any, key: bytes | None, value: bytes) -> Snapshot | str:
    try:
        snapshot: Snapshot = decode(key, value, 100.0)
    except DecodeError as error:
        return str(error)
    return snapshot


@settings(max_examples=2000, deadline=None)
@given(st.sampled_from([b"npc-1", b"npc-2", b"7", None]), values)
def test_decoding_in_one_go_gives_what_care_gives(key: bytes | None, value: bytes) -> None:
    assert told(careful_snapshot, key, value) == told(decode_snapshot, key, value)


USUAL: dict[str, Any] = {
    "npc_id": "npc-1",
    "observed_at": 1795426413.5,
    "cluster": ["Ann", "Greta the Smith"],
    "nearby_players": [{"id": "p1", "name": "Ann"}, ["p2", "Bob"]],
    "location": "market-square",
    "action": "selling apples",
    "position": [1, 2.5, -3],
}


def written(**fields: Any) -> bytes:
    return json.dumps({**USUAL, **fields}, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_usual_record_needs_no_care() -> None:
    assert careful_snapshot(b"npc-1", written(), 0.0) == plain_snapshot(written())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"junk",
        b"[" * 5000,
        json.dumps(USUAL).encode(),
        written(cluster=["Ann", "Ann"]),
        written(cluster=["Ann", ""]),
        written(cluster=["Ann "]),
        written(cluster=[" Ann"]),
        written(cluster=["Ann  Lee"]),
        written(cluster=["Ann\x7f"]),
        written(cluster=["Ren\u00e9"]),
        written(cluster=["x" * 101]),
        written(nearby_players=[{"id": "p1", "name": "Ann"}, {"id": "p1", "name": "Bob"}]),
        written(nearby_players=[{"id": "p1"}]),
        written(observed_at=None),
        written(observed_at="1795426413"),
        written(observed_at=1795426413500),
        written(action="x" * 201),
        written(location=""),
        written(position=[1, 2, 1.1e9]),
        written(other="x" * LARGE),
    ],
)
def test_whatever_needs_care_is_left_to_it(value: bytes) -> None:
    assert plain_snapshot(value) is None


def test_the_key_of_another_npc_is_refused() -> None:
    with pytest.raises(DecodeError, match="key: the record's key is 'npc-2'"):
        decode_snapshot(b"npc-2", written(), 0.0)
