"""The splitter's agent without a broker."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.splitter import agent as module
from streams.splitter.agent import SplitterAgent
from streams.topology import Role
from tests.streams.stage import NOON, TRACEPARENT, Stage, entry
from topics.catalogue import NPC_ROSTER, NPC_SNAPSHOTS, WORLD_SNAPSHOTS
from topics.wire import RECORD_LIMIT

WORLD = {"clusters": {"npc-7": ["Alice"], "npc-8": []}, "observed_at": NOON}


class Splitting(Stage):
    def __init__(self, folder: Path) -> None:
        super().__init__(Role.SPLITTER, SplitterAgent, folder)

    async def flush(self, *values: object) -> None:
        events = [self.event(WORLD_SNAPSHOTS, "world", value) for value in values]
        await self.agent._flush([self.agent._acks.take(event) for event in events])

    def know(self, *names: str) -> None:
        for name in names:
            self.agent._roster.apply(entry(NPC_ROSTER, name, {"npc_id": name, "name": name}))


@pytest.fixture
def stage(tmp_path: Path) -> Splitting:
    return Splitting(tmp_path)


async def test_a_world_becomes_a_record_for_each_npc_and_then_an_ack(stage: Splitting) -> None:
    await stage.flush(WORLD)

    assert [one["npc_id"] for one in stage.sent_json(NPC_SNAPSHOTS)] == ["npc-7", "npc-8"]
    assert stage.acked == [0]
    assert stage.count("world_snapshots_total", outcome="split") == 1


async def test_the_other_shape_is_told_by_the_names_of_the_roster(stage: Splitting) -> None:
    stage.know("Kaiden", "Goldie")

    await stage.flush({"timestamp": NOON, "clusters": [{"members": ["Kaiden", "Goldie", "Alice"]}]})

    told = {one["npc_id"]: one["cluster"] for one in stage.sent_json(NPC_SNAPSHOTS)}
    assert told == {"Kaiden": ["Goldie", "Alice"], "Goldie": ["Kaiden", "Alice"]}


@pytest.mark.parametrize("bad", [b"{nope", b"\xff", {}, {"clusters": 3}, b""])
async def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_unharmed(
    stage: Splitting, bad: Any
) -> None:
    await stage.flush(WORLD, bad, WORLD)

    [(_, told)] = stage.dead_letters
    assert (told.stage, told.topic, told.offset) == ("splitter", "t-world-snapshots", 1)
    assert len(stage.sent(NPC_SNAPSHOTS)) == 4
    assert stage.acked == [0, 1, 2]
    assert stage.count("errors_total", stage="splitter") == 1


async def test_a_deletion_is_nothing(stage: Splitting) -> None:
    await stage.flush(None)

    assert (stage.sent(NPC_SNAPSHOTS), stage.dead_letters, stage.acked) == ([], [], [0])


async def test_a_failed_send_acks_nothing(stage: Splitting) -> None:
    stage.broker.refused.add(NPC_SNAPSHOTS)

    with pytest.raises(ConnectionError):
        await stage.flush(WORLD)

    assert stage.acked == []


async def test_a_crowd_too_large_for_one_record_is_a_dead_letter(stage: Splitting) -> None:
    stage.know("Kaiden")
    names = ["Kaiden", *(f"{number:09}" for number in range(87_200))]
    world = {"timestamp": NOON, "clusters": [{"members": names}]}
    value = json.dumps(world, separators=(",", ":")).encode()
    assert RECORD_LIMIT - 4096 < len(value) < RECORD_LIMIT

    await stage.flush(value, WORLD)

    [(_, told)] = stage.dead_letters
    assert "Kaiden" in told.error
    assert len(stage.sent(NPC_SNAPSHOTS)) == 2


async def test_a_crowd_that_just_fits_is_told(stage: Splitting) -> None:
    crowd = [f"visitor {number:09}" for number in range(40_000)]

    await stage.flush({"clusters": {"npc-7": crowd}, "observed_at": NOON})

    [told] = stage.sent_json(NPC_SNAPSHOTS)
    assert len(told["cluster"]) == 40_000


async def test_a_crowd_told_to_everybody_in_it_is_bounded(
    stage: Splitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORLD_LIMIT", 100_000)
    npcs = [f"npc-{number}" for number in range(200)]
    stage.know(*npcs)

    await stage.flush({"timestamp": NOON, "clusters": [{"members": npcs}]}, WORLD)

    [(_, told)] = stage.dead_letters
    assert "100000 bytes" in told.error
    assert len(stage.sent(NPC_SNAPSHOTS)) == 2


async def test_each_snapshot_bears_the_trace_of_its_world(stage: Splitting) -> None:
    event = stage.event(WORLD_SNAPSHOTS, "world", WORLD)
    event.message.headers = [TRACEPARENT]
    await stage.agent._flush([stage.agent._acks.take(event)])

    assert [[TRACEPARENT], [TRACEPARENT]] == stage.topics[NPC_SNAPSHOTS].headers
