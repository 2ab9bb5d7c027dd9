"""`rollcall verify` with workers, Kafka and Letta as they are."""

import pytest

from tests.integration.commands import rollcall
from tests.integration.conftest import ALICE, SQUARE
from tests.integration.harness import Town, names_in, new_id, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def an_npc(town: Town, now: float) -> tuple[str, str]:
    """An NPC whose memory is as it should be; its id and its agent's."""
    npc_id = new_id()
    agent_id = await town.letta.agent(f"npc:{npc_id}")
    await town.see(npc_id, now, ALICE, location=SQUARE)
    await town.finished(npc_id, 1)
    return npc_id, agent_id


async def test_memory_that_was_reverted_is_mended_and_what_the_npc_wrote_stays(
    town: Town, now: float
) -> None:
    (npc_id, agent_id), (well, _) = [await an_npc(town, now) for _ in range(2)]
    blocks = await town.letta.blocks(agent_id)
    reverted = {**blocks["status"], "current_location": "nowhere", "mood": "fine"}
    await town.letta.write(agent_id, "status", reverted)

    first = await rollcall(town, "verify", npc_id, well, "--json")
    second = await rollcall(town, "verify", npc_id, well, well)

    told = {one["npc_id"]: one for one in first.json["npcs"]}
    assert first.json["counts"] == {"repaired": 1, "unchanged": 1}, first
    assert told[npc_id]["blocks"] == ["status"]
    assert [one["path"] for one in told[npc_id]["conflicts"]] == ["status.current_location"]
    assert (first.code, second.code) == (0, 0)
    assert second.out == "2 unchanged.\n"
    mended = await town.letta.blocks(agent_id)
    assert mended["status"]["current_location"] == "Market Square"
    assert mended["status"]["mood"] == "fine"
    assert names_in(mended["group_members"]) == {"Alice"}


async def test_an_npc_without_an_agent_and_one_never_seen_are_told(town: Town, now: float) -> None:
    lonely, nobody = new_id(), new_id()
    await town.see(lonely, now, ALICE)
    await town.finished(lonely, 1)

    done = await rollcall(town, "verify", lonely, nobody)

    assert done.code == 1
    assert f"{lonely}  failed" in done.out
    assert "no Letta agent" in done.out.replace("\n", " ")
    assert f"{nobody}  never seen" in done.out
    assert done.out.endswith("1 failed, 1 never seen.\n")


async def test_all_npcs_are_verified_without_names(town: Town, now: float) -> None:
    npcs = {(await an_npc(town, now))[0] for _ in range(2)}

    async def are_in_the_changelog() -> bool:
        done = await rollcall(town, "verify", "--json")
        return npcs <= {one["npc_id"] for one in done.json["npcs"] if one["fate"] == "unchanged"}

    await until(are_in_the_changelog, "all NPCs to be verified")


async def test_without_workers_nobody_is_asked(lone_town: Town) -> None:
    done = await rollcall(lone_town, "verify", "npc-7")

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Error: no filter runs, so nobody would answer; start one with "
        "`rollcall worker --roles filter`.\n"
    )


async def test_an_answer_that_does_not_come_is_explained(lone_town: Town, now: float) -> None:
    """Letta is away: the writer has the command and waits."""
    npc_id = new_id()
    lone_town.start("filter")
    lone_town.start("writer")
    await lone_town.see(npc_id, now, ALICE)
    await lone_town.reasons(npc_id, 1)

    async def is_told() -> bool:
        done = await rollcall(lone_town, "verify", npc_id, "--timeout", "2")
        return done.code == 1 and "nobody answered within 2 s" in done.out.replace("\n", " ")

    await until(is_told, "the missing answer to be explained")
