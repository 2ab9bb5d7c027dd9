"""A trace that the game began goes on to the result, over real topics and workers."""

import json

import pytest
from aiokafka.structs import ConsumerRecord

from tests.integration.harness import Town, new_id, until
from topics.catalogue import (
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    WORLD_SNAPSHOTS,
)

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


async def test_a_trace_goes_from_the_world_snapshot_to_the_result(town: Town, now: float) -> None:
    npc_id = new_id()
    await town.letta.agent(f"npc:{npc_id}")
    world = json.dumps({"clusters": {npc_id: ["Alice"]}, "observed_at": now}).encode()
    await town.raw(WORLD_SNAPSHOTS, "world", world, [TRACE, ("tenant", b"7")])
    await until(lambda: town.results(npc_id), "the result")

    def headers(name: str) -> list[list[tuple[str, bytes]]]:
        return [list(record.headers) for record in records(town, name, npc_id)]

    topics = (NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS, NPC_UPDATE_RESULTS)
    assert [[[TRACE]]] * 3 == [headers(name) for name in topics]


def records(town: Town, name: str, npc_id: str) -> list[ConsumerRecord]:
    return town.read.of(name, npc_id)
