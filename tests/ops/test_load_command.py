"""`rollcall load` on the real Kafka."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from ops.load import Changes, changes
from ops.tables import read_models
from topics.catalogue import LOCATIONS, NPC_ROSTER
from topics.connection import KafkaConnection
from topics.decode import decode_location, decode_roster_entry
from topics.models import RosterEntry

EXAMPLE = Path(__file__).parents[2] / "examples" / "town.yaml"


def test_only_what_is_new_or_different_is_sent() -> None:
    same, old, new = (RosterEntry(npc_id="a", name=name) for name in ("A", "Old", "New"))
    standing = {"same": same, "changed": old, "gone": same}
    wanted = {"same": same, "changed": new, "new": new}

    assert changes(wanted, standing, prune=True) == Changes(
        new=["new"], changed=["changed"], unchanged=["same"], removed=["gone"]
    )
    assert changes(wanted, standing, prune=False).kept == ["gone"]


def load(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["load", *map(str, arguments)])


def on_the_topics(connection: KafkaConnection) -> tuple[set[str], set[str]]:
    npcs, _ = asyncio.run(read_models(connection, NPC_ROSTER, decode_roster_entry))
    places, _ = asyncio.run(read_models(connection, LOCATIONS, decode_location))
    return set(npcs), set(places)


@pytest.mark.integration
def test_the_example_town_is_published_once(connection: KafkaConnection) -> None:
    first, second = load(EXAMPLE, "--json"), load(EXAMPLE, "--json")

    assert first.exit_code == second.exit_code == 0
    assert len(json.loads(first.stdout)["npcs"]["new"]) == 4
    assert len(json.loads(second.stdout)["npcs"]["unchanged"]) == 4
    npcs, places = on_the_topics(connection)
    assert npcs == {"npc-1", "npc-2", "npc-3", "npc-4"}
    assert len(places) == 5


@pytest.mark.integration
def test_nothing_is_published_while_one_line_is_wrong(
    connection: KafkaConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("npcs:\n- npc_id: a\n  name: A\n- npc_id: b\n")

    result = load(path)

    assert result.exit_code == 1
    assert f"{path}:4: an NPC needs a name." in result.stderr
    assert on_the_topics(connection) == (set(), set())


@pytest.mark.integration
def test_a_dry_run_publishes_nothing(connection: KafkaConnection) -> None:
    result = load(EXAMPLE, "--dry-run")

    assert result.exit_code == 0
    assert "Would publish NPCs: 4 new." in result.stdout
    assert on_the_topics(connection) == (set(), set())


@pytest.mark.integration
def test_pruning_removes_what_is_not_in_the_files(
    connection: KafkaConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("npcs:\n- npc_id: npc-1\n  name: Greta\n  home_location: bakers-row\n")
    load(EXAMPLE)

    result = load(path, "--prune")

    assert result.exit_code == 0
    npcs, places = on_the_topics(connection)
    assert npcs == {"npc-1"}
    assert len(places) == 5  # the file says nothing of locations


@pytest.mark.integration
def test_pruning_does_not_take_a_home_away(connection: KafkaConnection, tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("locations:\n- {slug: moon, name: Moon, coordinates: [0, 0, 0]}\n")
    load(EXAMPLE)

    result = load(path, "--prune")

    assert result.exit_code == 1
    assert "location 'bakers-row' is the home of npc-1 and cannot be removed." in result.stderr
    assert "moon" not in on_the_topics(connection)[1]


def test_wrong_lines_are_told_without_a_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_BROKER", "kafka://127.0.0.1:1")
    path = tmp_path / "t.yaml"
    path.write_text("npcs:\n- npc_id: a\n")

    result = load(path)

    assert result.exit_code == 1
    assert f"{path}:2: an NPC needs a name." in result.stderr


def test_a_file_of_another_kind_is_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "town.txt"
    path.touch()

    assert load(path).exit_code == 2
