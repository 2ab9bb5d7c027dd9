"""`rollcall explain` on real topics, written by real workers."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from tests.integration.harness import Town, new_id, until
from topics.catalogue import NPC_SNAPSHOTS

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

ALICE, BOB = ("1001", "Alice"), ("1002", "Bob")


@pytest.fixture
def environment(town: Town, letta_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{town.connection.bootstrap_servers[0]}")
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", town.connection.topic_prefix)
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)


async def explained(npc_id: str, *more: str) -> Any:
    done = await asyncio.to_thread(CliRunner().invoke, main, ["explain", npc_id, "--json", *more])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.usefixtures("environment")
async def test_snapshots_are_explained_from_the_topics_alone(town: Town, now: float) -> None:
    npc_id = new_id()
    await town.letta.agent(f"npc:{npc_id}")
    await town.see(npc_id, now, ALICE)
    await town.see(npc_id, now + 3, ALICE)
    await town.see(npc_id, now + 6, ALICE, BOB)
    await town.publish.flush()  # the next record is another producer's
    await town.raw(NPC_SNAPSHOTS, npc_id, b"{nonsense")
    await until(lambda: town.results(npc_id), "the first result")
    await until(lambda: len(town.commands(npc_id)) == 2, "two commands")
    await until(lambda: len(town.results(npc_id)) == 2, "two results")
    await until(lambda: town.dead_letters(npc_id), "a dead letter")

    told = await explained(npc_id)

    assert ["sent", "suppressed", "sent", "dead_letter"] == [one["fate"] for one in told]
    assert ["first_seen", "members"] == [one["why"] for one in told if one["fate"] == "sent"]
    assert "nothing differs; 3.0 s after the one before" in told[1]["why"]
    assert "+ Bob (1002) joined" in told[2]["command"]["changes"]
    assert told[2]["command"]["result"]["outcome"] in ("applied", "superseded")
    assert [told[-1]] == await explained(npc_id, "--last", "1")


@pytest.mark.usefixtures("environment")
async def test_an_npc_that_nobody_reported_on_is_told_in_a_sentence(town: Town) -> None:
    done = await asyncio.to_thread(CliRunner().invoke, main, ["explain", new_id()])

    assert done.exit_code == 1
    assert "no snapshot of" in done.output
