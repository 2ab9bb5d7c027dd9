"""A glimpse gives what decoding gives, whatever came before."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from topics.decode import DecodeError, decode_snapshot
from topics.glimpse import LARGE, Glimpses
from topics.models import Snapshot

KEYS = (b"npc-1", b"npc-2", None)


def chosen(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


documents = st.fixed_dictionaries(
    {"npc_id": chosen("npc-1", "npc-2", 7)},
    optional={
        "observed_at": chosen(1.0, 2, 2.5, "2026-11-25T12:00:00Z", None, -1, 1e12, True, 1e300),
        "cluster": chosen([], ["Ann"], ["Ann", " Bob "], "Ann", None, [1]),
        "nearby_players": chosen([], [{"id": "p1", "name": "Ann"}], ["p1"], None, 3),
        "location": chosen("inn", "", None, 7, "\u202einn"),
        "action": chosen("idle", "walking", None, 1),
        "position": chosen([1, 2, 3], [4.5, 2, 3], {"x": 1, "y": 2, "z": 3}, None, [1, 2], 1e10),
        "other": chosen(1, "x"),
    },
)
values = documents.map(lambda one: json.dumps(one).encode()) | chosen(b"", b"junk", b"[]", b"\xff")
records = st.tuples(chosen(*KEYS), values)


def told(decode: Any, key: bytes | None, value: bytes) -> Snapshot | str:
    try:
        snapshot: Snapshot = decode(key, value, 100.0)
    except DecodeError as error:
        return str(error)
    return snapshot


@settings(max_examples=500)
@given(st.lists(records, min_size=1, max_size=30))
def test_a_glimpse_is_what_decoding_gives(every: list[tuple[bytes | None, bytes]]) -> None:
    glimpses = Glimpses()

    for key, value in every:
        assert told(decode_snapshot, key, value) == told(glimpses.of, key, value)


def _value(**fields: object) -> bytes:
    return json.dumps({"npc_id": "npc-1", "observed_at": 1, "cluster": ["Ann"], **fields}).encode()


def test_what_is_told_again_is_not_decoded_again() -> None:
    glimpses = Glimpses()

    first, second = (glimpses.of(b"npc-1", _value(observed_at=at), 0.0) for at in (1, 4))

    assert 4.0 == second.observed_at
    assert first.cluster is second.cluster


def test_nothing_is_kept_of_a_large_value() -> None:
    glimpses = Glimpses()
    large = _value(other="x" * LARGE)

    first, second = (glimpses.of(b"npc-1", large, 0.0) for _ in range(2))

    assert first.cluster is not second.cluster


@given(st.sampled_from(["1e400", "-1e400", "1e10", "123456789012345678901234567890"]))
def test_a_position_out_of_bounds_is_refused_again(number: str) -> None:
    glimpses = Glimpses()
    glimpses.of(b"npc-1", _value(location="inn"), 0.0)
    wild = _value(location="inn", position=[0, 0, 5]).replace(b"5", number.encode())

    assert told(decode_snapshot, b"npc-1", wild) == told(glimpses.of, b"npc-1", wild)
