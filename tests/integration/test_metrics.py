"""The metrics of the seed, scraped from each role; one port for each."""

import pytest
import pytest_asyncio

from tests.integration.conftest import ALICE
from tests.integration.harness import Town, new_id, until
from topics.catalogue import NPC_SNAPSHOTS

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def busy(town: Town, now: float) -> Town:
    """A town in which something of everything has happened."""
    npc_id = new_id()
    await town.letta.agent(f"npc:{npc_id}")
    for at in range(3):
        await town.see(npc_id, now + at, ALICE)
    await town.publish.world({"clusters": {new_id(): ["Alice"]}, "observed_at": now})
    await town.raw(NPC_SNAPSHOTS, npc_id, b"{nope")
    await town.finished(npc_id, 1)
    await until(lambda: town.dead_letters(npc_id), "the dead letter")
    return town


async def test_the_filter_tells_updates_cache_hits_decisions_and_errors(busy: Town) -> None:
    metric = busy.workers["filter"].metric

    assert await metric("rollcall_snapshots_total", outcome="sent") > 0
    assert await metric("rollcall_snapshots_total", outcome="suppressed") > 1
    assert await metric("rollcall_cache_requests_total", cache="groups", result="hit") > 1
    assert await metric("rollcall_cache_requests_total", cache="groups", result="miss") > 0
    assert await metric("rollcall_cache_requests_total", cache="players", result="hit") > 0
    assert await metric("rollcall_decisions_total", reason="first_seen") > 0
    assert await metric("rollcall_errors_total", stage="filter") > 0
    assert await metric("rollcall_dead_letters_total", stage="filter") > 0
    for table in ("groups", "players", "roster", "locations"):
        assert await metric("rollcall_table_entries", table=table) > 0


async def test_the_writer_tells_results_calls_and_freshness(busy: Town) -> None:
    metric = busy.workers["writer"].metric

    assert await metric("rollcall_results_total", outcome="applied") > 0
    assert await metric("rollcall_letta_requests_total", operation="read", status="200") > 0
    assert await metric("rollcall_letta_requests_total") > 1
    assert await metric("rollcall_letta_request_seconds_count", operation="read") > 0
    assert await metric("rollcall_memory_freshness_seconds_count") > 0
    assert await metric("rollcall_write_queue") >= 0
    assert await metric("rollcall_parked_npcs") >= 0


async def test_the_splitter_tells_what_it_split(busy: Town) -> None:
    assert await busy.workers["splitter"].metric("rollcall_world_snapshots_total") > 0


async def test_no_label_holds_an_npc_or_a_player(busy: Town) -> None:
    for worker in busy.workers.values():
        for _, labels in await worker.metrics():
            assert not any("npc-" in value and "roster" not in value for _, value in labels)
