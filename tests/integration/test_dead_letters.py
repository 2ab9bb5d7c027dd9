"""Bad input of every kind on every topic: one dead letter each, and the next record unharmed."""

import time

import pytest

from tests.integration.conftest import ALICE
from tests.integration.harness import Record, Town, json_bytes, new_id, until
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
)
from topics.wire import RECORD_LIMIT

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

STAGES = {
    NPC_SNAPSHOTS: "filter",
    WORLD_SNAPSHOTS: "splitter",
    NPC_UPDATE_COMMANDS: "writer",
    PLAYER_PROFILES: PLAYER_PROFILES,
    NPC_ROSTER: NPC_ROSTER,
    LOCATIONS: LOCATIONS,
}
ON_EVERY_TOPIC = pytest.mark.parametrize("topic", STAGES)

BAD = {
    "empty": b"",
    "text": b"hello",
    "half a record": b'{"npc_id": "np',
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "wrong UTF-8": b'{"npc_id": "\xff"}',
    "half a surrogate pair": b'{"npc_id": "\\ud800"}',
    "NaN": b'{"npc_id": NaN}',
    "two records": b"{}{}",
    "deep nesting": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "zeros": b"\x00" * 64,
    "wrong types": json_bytes(
        {"npc_id": [], "player_id": {}, "slug": True, "clusters": 3, "command_id": None}
    ),
    "as large as a record can be": b"x" * (RECORD_LIMIT - 2000),
}


async def letter_of(town: Town, record: Record) -> bytes:
    """The value of the dead letter that a record became; the headers tell the rest."""

    def arrived() -> list[tuple[Record, object]]:
        return [
            (letter, told)
            for letter, told in town.dead_letters()
            if (told.topic, told.partition, told.offset)
            == (record.topic, record.partition, record.offset)
        ]

    found = await until(arrived, f"a dead letter for {record.topic}/{record.offset}")
    assert len(found) == 1
    [(letter, told)] = found
    name = record.topic.removeprefix(town.connection.topic_prefix)
    assert told.stage == STAGES[name]
    assert 10 < len(told.error) < 300
    assert told.error.isprintable()
    assert told.failed_at == pytest.approx(time.time(), abs=120)
    value: bytes = letter.value
    return value


@ON_EVERY_TOPIC
async def test_bad_input_of_every_kind_becomes_a_dead_letter(town: Town, topic: str) -> None:
    key = new_id("bad")
    records = {kind: await town.raw(topic, key, value) for kind, value in BAD.items()}

    for kind, record in records.items():
        assert await letter_of(town, record) == BAD[kind], kind


@ON_EVERY_TOPIC
async def test_the_key_of_a_dead_letter_is_that_of_the_record(town: Town, topic: str) -> None:
    key = b"\xff" + new_id("bad").encode()

    record = await town.raw(topic, key, b"{nope")

    await letter_of(town, record)
    assert [r.key for r, _ in town.dead_letters() if r.key == key] == [key]


@ON_EVERY_TOPIC
async def test_a_record_that_unpacks_to_more_than_fits_is_cut_and_holds_up_nobody(
    town: Town, topic: str
) -> None:
    """A compressed batch of a few kilobytes; whoever gives it up must not choke on it."""
    record = await town.raw(topic, new_id("bad"), b"[" + b" " * (3 * RECORD_LIMIT))

    assert await letter_of(town, record) == b"[" + b" " * (RECORD_LIMIT - 1)


@pytest.mark.parametrize("topic", [PLAYER_PROFILES, NPC_ROSTER, LOCATIONS])
async def test_a_record_whose_key_is_another_id_is_a_dead_letter(town: Town, topic: str) -> None:
    good = {
        PLAYER_PROFILES: {"player_id": "1", "name": "x"},
        NPC_ROSTER: {"npc_id": "1", "name": "x"},
        LOCATIONS: {"slug": "1", "name": "x", "coordinates": [0, 0, 0]},
    }

    record = await town.raw(topic, new_id("another"), json_bytes(good[topic]))

    await letter_of(town, record)


async def test_a_snapshot_from_the_future_is_a_dead_letter(town: Town, now: float) -> None:
    npc_id = new_id()

    record = await town.raw(
        NPC_SNAPSHOTS, npc_id, json_bytes({"npc_id": npc_id, "observed_at": now + 3600})
    )

    await letter_of(town, record)


async def test_the_next_snapshot_is_unharmed(town: Town, now: float) -> None:
    npc_id = new_id()
    for value in BAD.values():
        await town.raw(NPC_SNAPSHOTS, npc_id, value)

    await town.raw(NPC_SNAPSHOTS, npc_id, None)
    await town.see(npc_id, now, ALICE)

    assert await town.reasons(npc_id, 1) == ["first_seen"]


async def test_a_snapshot_without_a_key_takes_it_from_the_value(town: Town, now: float) -> None:
    npc_id = new_id()

    await town.raw(NPC_SNAPSHOTS, None, json_bytes({"npc_id": npc_id, "observed_at": now}))

    assert await town.reasons(npc_id, 1) == ["first_seen"]


async def test_the_next_world_is_unharmed(town: Town, now: float) -> None:
    npc_id = new_id()
    for value in (*BAD.values(), None):
        await town.raw(WORLD_SNAPSHOTS, "world", value)

    await town.publish.world({"clusters": {npc_id: ["Alice"]}, "observed_at": now})

    assert await town.reasons(npc_id, 1) == ["first_seen"]


async def test_the_next_profile_place_and_npc_are_unharmed(town: Town, now: float) -> None:
    npc_id, friend, player, slug = new_id(), new_id(), new_id("player"), new_id("place")
    for topic in (PLAYER_PROFILES, NPC_ROSTER, LOCATIONS):
        for value in (*BAD.values(), None):
            await town.raw(topic, new_id("bad"), value)

    name = f"Frida {player}"
    await town.publish.profile({"player_id": player, "name": name, "description": "in blue"})
    await town.publish.location({"slug": slug, "name": "The Mill", "coordinates": [900, 0, 0]})
    await town.publish.roster({"npc_id": friend, "name": friend, "description": "a miller"})
    await town.publish.flush()

    async def is_known() -> bool:
        await town.see(npc_id, now, (player, name), cluster=[friend], location=slug)
        commands = town.commands(npc_id)
        if not commands:
            return False
        desired = commands[-1].desired
        looks = {member.id: member.appearance for member in desired.members}
        return looks == {player: "in blue", friend: "a miller"} and desired.location == "The Mill"

    await until(is_known, "profile, place and NPC after many bad ones")


async def test_the_next_command_is_unharmed(town: Town, now: float) -> None:
    npc_id = new_id()
    agent_id = await town.letta.agent(f"npc:{npc_id}")
    for value in (*BAD.values(), None):
        await town.raw(NPC_UPDATE_COMMANDS, npc_id, value)

    await town.see(npc_id, now, ALICE)

    [result] = await town.finished(npc_id, 1)
    assert result.outcome == "applied"
    assert "1001" in (await town.letta.blocks(agent_id))["group_members"]["members"]
