"""`rollcall check`: findings in plain words."""

import json

import pytest
from click.testing import CliRunner

from ops.check import layout_finding, missing_agents, roster_faults
from ops.cli import main
from ops.layout.steps import Standing
from streams.settings import Layout
from topics.models import RosterEntry

GRETA = RosterEntry(npc_id="npc-1", name="Greta", home_location="market")
PIET = RosterEntry(npc_id="npc-2", name="Piet", display_name="greta", agent_id="agent-2")


def test_a_right_roster_has_no_faults() -> None:
    assert list(roster_faults({"npc-1": GRETA}, ["market"])) == []


def test_missing_homes_and_shared_names_are_told() -> None:
    assert list(roster_faults({"npc-1": GRETA, "npc-2": PIET}, [])) == [
        "npc-1 lives at 'market', which is no location.",
        "npc-2 and npc-1 are both called 'greta'.",
    ]


def test_an_agent_is_found_by_id_or_by_tag() -> None:
    roster = {"npc-1": GRETA, "npc-2": PIET}

    assert missing_agents(roster, {"agent-2"}, {"npc:npc-1"}).state == "ok"
    assert missing_agents(roster, {"agent-2"}, {"npc:npc-2"}).sentence == (
        "no Letta agent for 1 NPC: npc-1; their updates wait for one."
    )
    assert missing_agents(roster, set(), {"npc:npc-1", "npc:npc-2"}).sentence == (
        "no Letta agent for 1 NPC: npc-2; their updates wait for one."
    )


def test_a_disabled_npc_needs_no_agent() -> None:
    resting = RosterEntry(npc_id="npc-3", name="Ines", enabled=False)

    assert missing_agents({"npc-3": resting}, set(), set()).state == "ok"


def test_memory_in_another_layout_than_the_setting_is_told() -> None:
    standings = [Standing.SHARED, Standing.SPLIT, Standing.BETWEEN, Standing.EMPTY]

    assert layout_finding(Layout.SPLIT, [Standing.SPLIT, Standing.EMPTY]).state == "ok"
    assert layout_finding(Layout.SPLIT, standings).sentence == (
        "ROLLCALL_LAYOUT is split; of 4 NPCs looked at, 2 stand otherwise. "
        "`rollcall layout migrate` moves them."
    )


def test_nothing_reachable_is_told_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", "kafka://127.0.0.1:1")
    monkeypatch.setenv("ROLLCALL_LETTA_URL", "http://127.0.0.1:1")

    result = CliRunner().invoke(main, ["check", "--json"])

    assert result.exit_code == 1
    assert [(one["subject"], one["state"]) for one in json.loads(result.stdout)] == [
        ("settings", "ok"),
        ("kafka", "wrong"),
        ("letta", "wrong"),
    ]


@pytest.mark.integration
def test_missing_topics_are_told(
    kafka_address: str, letta_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", f"kafka://{kafka_address}")
    monkeypatch.setenv("ROLLCALL_LETTA_URL", letta_url)
    monkeypatch.setenv("ROLLCALL_TOPIC_PREFIX", "nobody-uses-this.")

    result = CliRunner().invoke(main, ["check"])

    assert result.exit_code == 1
    assert "nobody-uses-this.npc-snapshots: does not exist" in result.stdout
    assert "version 0.16.8" in result.stdout
