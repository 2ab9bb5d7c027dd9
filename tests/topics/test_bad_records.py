"""Bad input of every kind on every topic ends in a `DecodeError` of one sentence."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from topics.decode import (
    DecodeError,
    decode_command,
    decode_location,
    decode_profile,
    decode_result,
    decode_roster_entry,
    decode_snapshot,
    decode_verify_request,
    decode_world,
)

NOW = 1795426500.0
COMMAND: dict[str, Any] = {
    "command_id": "c",
    "npc_id": "npc-7",
    "reason": "members",
    "observed_at": NOW,
    "issued_at": NOW,
    "source": {"topic": "npc-snapshots", "partition": 0, "offset": 1},
    "desired": {"members": [{"id": "1", "name": "Alice"}], "location": "inn", "action": "idle"},
}
RESULT = {
    "command_id": "c",
    "npc_id": "npc-7",
    "reason": "members",
    "outcome": "applied",
    "observed_at": NOW,
    "finished_at": NOW,
}
# topic -> decoder, a good record, its field with the id
TOPICS: dict[str, tuple[Callable[[bytes], object], dict[str, Any], str | None]] = {
    "npc-snapshots": (lambda v: decode_snapshot(None, v, NOW), {"npc_id": "npc-7"}, "npc_id"),
    "world-snapshots": (lambda v: decode_world(v, NOW), {"clusters": {}}, None),
    "player-profiles": (
        lambda v: decode_profile(None, v),
        {"player_id": "1", "name": "Alice"},
        "player_id",
    ),
    "npc-roster": (
        lambda v: decode_roster_entry(None, v),
        {"npc_id": "npc-7", "name": "Greta"},
        "npc_id",
    ),
    "locations": (
        lambda v: decode_location(None, v),
        {"slug": "inn", "name": "Inn", "coordinates": [0, 0, 0]},
        "slug",
    ),
    "npc-update-commands": (decode_command, COMMAND, "npc_id"),
    "npc-update-results": (decode_result, RESULT, "npc_id"),
    "npc-verify-requests": (
        lambda v: decode_verify_request(None, v, NOW),
        {"npc_id": "npc-7"},
        "npc_id",
    ),
}
ON_EVERY_TOPIC = pytest.mark.parametrize("topic", TOPICS)
NOT_RECORDS = {
    "empty": b"",
    "half a record": b'{"npc_id": "np',
    "text": b"hello",
    "null": b"null",
    "a list": b"[]",
    "a number": b"3",
    "a string": b'"npc-7"',
    "a byte order mark": b'\xef\xbb\xbf{"npc_id": "npc-7"}',
    "wrong UTF-8": b'{"npc_id": "\xff"}',
    "wrong UTF-8 in a field that nobody reads": b'{"npc_id": "npc-7", "mood": "\xff"}',
    "half a surrogate pair": b'{"npc_id": "\\ud800"}',
    "NaN": b'{"npc_id": "npc-7", "observed_at": NaN}',
    "Infinity": b'{"npc_id": "npc-7", "observed_at": Infinity}',
    "two records": b'{"npc_id": "npc-7"}{"npc_id": "npc-8"}',
    "deep nesting": b'{"npc_id": "npc-7", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"x": ' * 20_000 + b"1" + b"}" * 20_000,
    "an empty object": b"{}",
    "too large": b'{"npc_id": "npc-7", "x": "' + b"x" * 2**20 + b'"}',
    "zeros": b"\x00" * 64,
}


def refusal(topic: str, value: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        TOPICS[topic][0](value)
    return str(caught.value)


def changed(topic: str, field: str, value: object) -> bytes:
    return json.dumps({**TOPICS[topic][1], field: value}).encode()


@ON_EVERY_TOPIC
def test_the_good_record_of_these_tests_is_good(topic: str) -> None:
    decode, good, _ = TOPICS[topic]

    decode(json.dumps(good).encode())


@ON_EVERY_TOPIC
@pytest.mark.parametrize("kind", NOT_RECORDS)
def test_what_is_no_record_is_refused_in_one_sentence(topic: str, kind: str) -> None:
    message = refusal(topic, NOT_RECORDS[kind])

    assert message.isprintable()
    assert 10 < len(message) < 250


@ON_EVERY_TOPIC
def test_a_missing_field_is_named(topic: str) -> None:
    for field in TOPICS[topic][1]:
        rest = {name: value for name, value in TOPICS[topic][1].items() if name != field}

        assert field in refusal(topic, json.dumps(rest).encode())


@ON_EVERY_TOPIC
@pytest.mark.parametrize("wrong", [True, 3.25, {"npc-7": 3}, [[[]]]], ids=repr)
def test_a_field_of_the_wrong_type_is_named(topic: str, wrong: object) -> None:
    for field, right in TOPICS[topic][1].items():
        if not isinstance(right, float) or not isinstance(wrong, float):
            assert field in refusal(topic, changed(topic, field, wrong))


@pytest.mark.parametrize("topic", [name for name, (_, _, field) in TOPICS.items() if field])
@pytest.mark.parametrize(
    "bad_id", ["", " ", "a\x00b", "a\nb", "\u202enpc", " npc", "npc ", "x" * 201, "x" * 100_000]
)
def test_a_bad_id_is_refused_and_its_field_named(topic: str, bad_id: str) -> None:
    field = str(TOPICS[topic][2])

    assert refusal(topic, changed(topic, field, bad_id)).startswith(f"{field}: ")


@pytest.mark.parametrize("topic", ["npc-snapshots", "player-profiles", "npc-roster"])
@pytest.mark.parametrize("bad_id", ["1.5", "1e300", "-1e300", "9" * 30, "9" * 5000, "1e999", "[]"])
def test_a_number_that_can_be_no_id_is_refused(topic: str, bad_id: str) -> None:
    field = str(TOPICS[topic][2])
    value = changed(topic, field, "@").replace(b'"@"', bad_id.encode())

    assert refusal(topic, value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("topic", "field", "bad"),
    [
        ("npc-snapshots", "cluster", "Alice"),
        ("npc-snapshots", "cluster", ["Alice", None]),
        ("npc-snapshots", "cluster", [10**30]),
        ("npc-snapshots", "cluster", {"Alice": 1}),
        ("npc-snapshots", "nearby_players", "1001"),
        ("npc-snapshots", "nearby_players", [{}]),
        ("npc-snapshots", "nearby_players", [{"id": None}]),
        ("npc-snapshots", "nearby_players", [{"id": ""}]),
        ("npc-snapshots", "nearby_players", [""]),
        ("npc-snapshots", "nearby_players", [[1001]]),
        ("npc-snapshots", "nearby_players", [[1001, "Alice", 3]]),
        ("npc-snapshots", "nearby_players", [[None, "Alice"]]),
        ("npc-snapshots", "nearby_players", [1.5]),
        ("npc-snapshots", "nearby_players", [True]),
        ("npc-snapshots", "nearby_players", [{"id": "x" * 300}]),
        ("npc-snapshots", "location", 3),
        ("npc-snapshots", "action", ["idle"]),
        ("npc-snapshots", "position", [1, 2]),
        ("npc-snapshots", "position", [1, 2, 3, 4]),
        ("npc-snapshots", "position", [1, 2, "3"]),
        ("npc-snapshots", "position", [1, 2, 1e308]),
        ("npc-snapshots", "position", [1, -1e10, 3]),
        ("npc-snapshots", "position", {"x": 1, "y": 2}),
        ("npc-snapshots", "position", "market"),
        ("player-profiles", "name", "\u202e"),
        ("player-profiles", "name", ""),
        ("player-profiles", "last_seen", 1795426413200),
        ("player-profiles", "last_seen", "long ago"),
        ("player-profiles", "description", 3),
        ("npc-roster", "name", " "),
        ("npc-roster", "enabled", "yes"),
        ("npc-roster", "agent_id", 7),
        ("npc-roster", "agent_id", "agent\x00"),
        ("npc-roster", "home_location", ["inn"]),
        ("locations", "slug", 3),
        ("locations", "name", ""),
        ("locations", "coordinates", [0, 0]),
        ("locations", "coordinates", [0, 0, 1e10]),
        ("locations", "coordinates", {"x": 0, "y": 0, "z": "0"}),
        ("npc-update-commands", "reason", "boredom"),
        ("npc-update-commands", "observed_at", "2026-11-23"),
        ("npc-update-commands", "issued_at", 1e300),
        ("npc-update-commands", "source", {"topic": "t", "partition": -1, "offset": 0}),
        ("npc-update-commands", "source", {"topic": "t", "partition": 0, "offset": 2**63}),
        ("npc-update-commands", "source", {"topic": "t", "partition": 0, "offset": 10**400}),
        ("npc-update-commands", "desired", {**COMMAND["desired"], "members": [{"id": "1"}]}),
        (
            "npc-update-commands",
            "desired",
            {**COMMAND["desired"], "members": [{"id": "", "name": "Alice"}]},
        ),
        ("npc-update-commands", "desired", {"members": []}),
        ("npc-update-results", "outcome", "great"),
        ("npc-verify-requests", "requested_at", "tea time"),
        ("npc-update-results", "calls", -1),
        ("npc-update-results", "attempts", 2**70),
        ("npc-update-results", "finished_at", -5),
        ("npc-update-results", "conflicts", [{"path": "members"}]),
    ],
)
def test_a_bad_field_is_refused_and_named(topic: str, field: str, bad: object) -> None:
    assert refusal(topic, changed(topic, field, bad)).startswith(field)


def test_a_key_of_invisible_characters_is_shown_within_bounds() -> None:
    key = "\U000cbc2f" * 199

    with pytest.raises(DecodeError) as caught:
        decode_snapshot(key.encode(), json.dumps({"npc_id": "npc-7"}).encode(), NOW)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
