"""From a snapshot to the memory of an NPC: the milestones of the seed on real Kafka and Letta."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.conftest import ALICE, ALICE_LOOKS, BAKER, GUARDS, KAIDEN, SQUARE
from tests.integration.harness import Town, last, names_in, new_id, until
from topics.models import Outcome

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GROUP, STATUS = "group_members", "status"


async def remembered(town: Town, agent_id: str, *names: str) -> dict[str, Any]:
    """The agent's blocks once these stand in its group, and nobody else."""

    async def stands() -> dict[str, Any] | None:
        blocks = await town.letta.blocks(agent_id)
        return blocks if names_in(blocks.get(GROUP, {})) == set(names) else None

    found: dict[str, Any] = await until(stands, f"{names} in the memory of {agent_id}")
    return found


async def npc_with_agent(town: Town, **blocks: str) -> tuple[str, str]:
    npc_id = new_id()
    return npc_id, await town.letta.agent(f"npc:{npc_id}", **blocks)


async def test_group_updates_appear_in_npc_memory(town: Town, now: float) -> None:
    npc_id, agent_id = await npc_with_agent(town)

    await town.see(npc_id, now, ALICE, cluster=["Alice", "Greta"], location=SQUARE)

    await town.finished(npc_id, 1)
    blocks = await remembered(town, agent_id, "Alice", "Greta")
    assert blocks[GROUP]["summary"] == "Current members: Alice, Greta"
    assert blocks[GROUP]["updates"] == ["Alice, Greta joined the group"]
    told = datetime.fromisoformat(blocks[GROUP]["last_updated"])
    assert told == datetime.fromtimestamp(now, UTC)
    assert blocks[STATUS]["current_location"] == "Market Square"
    assert blocks[STATUS]["current_action"] == "idle"

    await town.see(npc_id, now + 3, cluster=["Greta"], location=SQUARE, action="sweeping")

    await town.finished(npc_id, 2)
    blocks = await remembered(town, agent_id, "Greta")
    assert blocks[GROUP]["updates"][0] == "Alice left the group"
    assert blocks[STATUS]["current_action"] == "sweeping"


async def test_player_descriptions_are_included(town: Town, now: float) -> None:
    npc_id, agent_id = await npc_with_agent(town)

    await town.see(npc_id, now, ALICE, ("2002", "Nobody Yet"), cluster=["Greta"])

    blocks = await remembered(town, agent_id, "Alice", "Greta", "Nobody Yet")
    looks = {who: member["appearance"] for who, member in blocks[GROUP]["members"].items()}
    assert looks == {"1001": ALICE_LOOKS, BAKER: "flour on her sleeves", "2002": ""}


async def test_several_npcs_in_one_area(town: Town, now: float) -> None:
    agents = {npc_id: await town.letta.agent(f"npc:{npc_id}") for npc_id in GUARDS}

    for npc_id in GUARDS:
        await town.see(npc_id, now, ALICE, cluster=[*GUARDS.values(), "Alice"], location=SQUARE)

    for npc_id, agent_id in agents.items():
        others = {other: name for other, name in GUARDS.items() if other != npc_id}
        blocks = await remembered(town, agent_id, "Alice", *others.values())
        assert set(blocks[GROUP]["members"]) == {"1001", *others}


async def test_an_npc_keeps_its_notes_and_its_own_fields(town: Town, now: float) -> None:
    npc_id, agent_id = await npc_with_agent(town)
    await town.see(npc_id, now, ALICE, ("3003", "Carol"))
    group = (await remembered(town, agent_id, "Alice", "Carol"))[GROUP]
    group["members"]["1001"] |= {"notes": "owes me two loaves", "trust": {"level": 3}}
    group["mood"] = ["hopeful"]
    await town.letta.write(agent_id, GROUP, group)

    await town.see(npc_id, now + 3, ALICE)

    group = (await remembered(town, agent_id, "Alice"))[GROUP]
    assert group["members"]["1001"]["notes"] == "owes me two loaves"
    assert group["members"]["1001"]["trust"] == {"level": 3}
    assert group["mood"] == ["hopeful"]


async def test_an_npc_is_found_by_the_agent_id_of_the_roster(town: Town, now: float) -> None:
    npc_id, agent_id = new_id(), await town.letta.agent()
    await town.publish.roster({"npc_id": npc_id, "name": npc_id, "agent_id": agent_id})
    await town.publish.flush()

    await town.see(npc_id, now, ALICE)

    await remembered(town, agent_id, "Alice")


async def test_an_npc_without_an_agent_waits_and_holds_up_nobody(town: Town, now: float) -> None:
    homeless, (npc_id, agent_id) = new_id(), await npc_with_agent(town)
    await town.see(homeless, now, ALICE)
    [parked] = await town.finished(homeless, 1)
    assert (parked.outcome, (parked.error or "")[:6]) == (Outcome.FAILED, "parked")

    await town.see(npc_id, now, ALICE)
    await remembered(town, agent_id, "Alice")

    await town.see(homeless, now + 3, ALICE, ("3003", "Carol"))
    await town.finished(homeless, 2)
    late = await town.letta.agent(f"npc:{homeless}")
    await remembered(town, late, "Alice", "Carol")


async def test_a_world_snapshot_of_the_seed_ends_in_memory(town: Town, now: float) -> None:
    npc_id, agent_id = await npc_with_agent(town)

    await town.publish.world(
        {
            "clusters": {npc_id: ["Alice", "Greta"]},
            "nearby_players": [["1001", "Alice"]],
            "locations": {npc_id: SQUARE},
            "actions": {npc_id: "waving"},
            "observed_at": now,
        }
    )

    await town.finished(npc_id, 1)
    blocks = await remembered(town, agent_id, "Alice", "Greta")
    assert blocks[STATUS]["current_location"] == "Market Square"
    assert blocks[STATUS]["current_action"] == "waving"


async def test_a_world_snapshot_of_roblox_ends_in_memory(town: Town, now: float) -> None:
    (npc_id, name), agent_id = KAIDEN, await town.letta.agent(f"npc:{KAIDEN[0]}")

    await town.publish.world(
        {
            "timestamp": now,
            "events": [],
            "clusters": [{"members": [name, "Alice", "Greta"], "npcs": 2, "players": 1}],
            "humanContext": {
                name: {
                    "position": {"x": 8.0, "y": 0.0, "z": -6.0},
                    "location": "Unknown",
                    "health": {"state": "Running", "isMoving": True},
                }
            },
        }
    )

    await town.finished(npc_id, 1)
    blocks = await remembered(town, agent_id, "Alice", "Greta")
    assert blocks[GROUP]["members"]["1001"]["appearance"] == ALICE_LOOKS
    assert blocks[STATUS]["current_location"] == "right outside Market Square"
    assert blocks[STATUS]["current_action"] == "moving"


async def test_results_tell_what_was_written(town: Town, now: float) -> None:
    npc_id, _ = await npc_with_agent(town)

    await town.see(npc_id, now, ALICE, location=SQUARE)

    result = last(await town.finished(npc_id, 1))
    assert result.outcome is Outcome.APPLIED
    assert set(result.blocks) == {GROUP, STATUS}
    assert result.command_id == town.commands(npc_id)[0].command_id
