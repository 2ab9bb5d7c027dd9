"""The demo's comparison finds every kind of difference that is planted."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ops.demo.game import Truth
from ops.demo.notes import Note, Notebook
from ops.demo.town import Town
from ops.demo.verify import Expectation, MemoryBlock, differences
from topics.models import Location, PlayerProfile, RosterEntry

ALICE = PlayerProfile(player_id="1001", name="Alice", description="Level 7, in a blue coat.")
LATE = PlayerProfile(player_id="1002", name="Bob", description="Level 9, in armour.")
TOWN = Town(
    places={
        "market": Location(slug="market", name="Market Square", coordinates=(0.0, 0.0, 0.0)),
        "mill": Location(slug="mill", name="Old Mill", coordinates=(100.0, 0.0, 0.0)),
    },
    npcs={
        "npc-1": RosterEntry(npc_id="npc-1", name="Greta"),
        "npc-2": RosterEntry(
            npc_id="npc-2", name="Piet", display_name="Old Piet", description="A grey beard."
        ),
    },
    players={"1001": ALICE, "1002": LATE},
    spots=("market", "mill"),
    districts=(),
    late=frozenset({"1002"}),
)
HERE = Truth("npc-1", 3.0, ("1001", "npc-2", "1002"), "market", (0.0, 0.0, 0.0), "idle")

GROUP = {
    "members": {
        "1001": {"name": "Alice", "appearance": "Level 7, in a blue coat.", "notes": "kind"},
        "npc-2": {"name": "Old Piet", "appearance": "A grey beard.", "notes": ""},
        "1002": {"name": "Bob", "appearance": "", "notes": ""},
        "ghost": {"notes": "in the cellar"},
    },
    "summary": "Current members: Alice, Old Piet, Bob",
    "updates": ["Alice, Old Piet, Bob joined the group"],
    "last_updated": "2026-11-23T10:00:00.000Z",
    "diary": "wages",
}
STATUS = {
    "current_location": "Market Square",
    "previous_location": "Old Mill",
    "current_action": "idle",
    "movement_state": "stationary",
    "mood": "cheerful",
}
METADATA = {"rollcall": {"absent": {"9": {"notes": "owes me"}}}}

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def expectation() -> Expectation:
    notebook = Notebook(made_up={"npc-1": {"ghost"}})
    for label, text, member in (
        ("group_members", "kind", "1001"),
        ("group_members", "owes me", "9"),
        ("group_members", "in the cellar", "ghost"),
        ("group_members", "wages", None),
        ("status", "cheerful", None),
    ):
        notebook.add(Note("npc-1", label, text, member))
    return Expectation(TOWN, {"1001": ALICE}, notebook)


def found(
    change: Change = lambda _group, _status: None,
    truth: Truth = HERE,
    metadata: dict[str, Any] = METADATA,
    kept: str = "",
) -> list[str]:
    """What the comparison says about a right memory after a change."""
    group, status = copy.deepcopy(GROUP), copy.deepcopy(STATUS)
    change(group, status)
    blocks = {
        "group_members": MemoryBlock(json.dumps(group), metadata),
        "status": MemoryBlock(json.dumps(status), {}),
    }
    return list(differences(truth, blocks, expectation(), kept))


def test_a_right_memory_has_no_differences() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda group, _: group["members"].pop("npc-2"),
            "npc-2 (Old Piet) stands there, but is no member",
        ),
        (
            lambda group, _: group["members"].update(x={"name": "X"}),
            "x is a member, but does not stand there",
        ),
        (
            lambda group, _: group["members"]["npc-2"].update(name="Piet"),
            "name of npc-2 is 'Piet', not 'Old Piet'",
        ),
        (
            lambda group, _: group["members"]["1001"].update(appearance=""),
            "appearance of 1001 is '', not 'Level 7, in a blue coat.'",
        ),
        (
            lambda group, _: group["members"]["1002"].update(appearance="Level 9, in armour."),
            "appearance of 1002 is 'Level 9, in armour.', not ''",
        ),
        (
            lambda group, _: group["members"]["npc-2"].pop("notes"),
            "notes of npc-2 are no text: None",
        ),
        (
            lambda group, _: group.update(summary="Current members: Alice, Bob"),
            "summary is 'Current members: Alice, Bob', but there are ['Alice', 'Bob', 'Old Piet']",
        ),
        (
            lambda group, _: group.update(updates=["x"] * 11),
            "updates is no list of at most 10: " + str(["x"] * 11)[:80],
        ),
        (lambda group, _: group.update(last_updated="now"), "last_updated is no time: 'now'"),
        (
            lambda group, _: group["members"]["1001"].update(notes=""),
            "a note of its own is lost: 'kind' is not in the notes of 1001",
        ),
        (
            lambda group, _: group["members"]["ghost"].update(notes=""),
            "a note of its own is lost: 'in the cellar' is not in the notes of ghost",
        ),
        (
            lambda group, _: group.pop("diary"),
            "a note of its own is lost: 'wages' is not in group_members",
        ),
        (
            lambda _, status: status.pop("mood"),
            "a note of its own is lost: 'cheerful' is not in status",
        ),
        (
            lambda _, status: status.update(current_location="Old Mill"),
            "current_location is 'Old Mill', not 'Market Square'",
        ),
        (
            lambda _, status: status.update(current_action="walking"),
            "current_action is 'walking', not 'idle'",
        ),
        (
            lambda _, status: status.update(movement_state="still"),
            "movement_state is 'still'",
        ),
        (
            lambda _, status: status.pop("previous_location"),
            "previous_location is None",
        ),
    ],
)
def test_a_difference_is_found(change: Change, expected: str) -> None:
    assert found(change) == [expected]


def test_a_note_about_somebody_absent_may_wait_in_the_metadata_but_not_get_lost() -> None:
    nowhere = "is not in any block, its metadata or the Table of notes"

    assert found(metadata={}) == [f"a note of its own is lost: 'owes me' {nowhere}"]


def test_a_note_about_somebody_absent_may_stand_in_the_table_of_notes() -> None:
    assert found(metadata={}, kept='{"absent":{"9":{"notes":"owes me"}}}') == []


@pytest.mark.parametrize("value", ["", "[]", "Alice is here", '{"members": []}'])
def test_a_group_that_is_no_document_is_found(value: str) -> None:
    blocks = {
        "group_members": MemoryBlock(value),
        "status": MemoryBlock(json.dumps(STATUS)),
    }

    (first, *_) = differences(HERE, blocks, Expectation(TOWN, {}, Notebook()))

    assert first.startswith("group_members ")


def test_missing_blocks_are_found() -> None:
    assert list(differences(HERE, {}, Expectation(TOWN, {}, Notebook()))) == [
        "there is no block group_members",
        "there is no block status",
    ]


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (0.0, "at the entrance to Market Square"),
        (4.9, "at the entrance to Market Square"),
        (5.0, "right outside Market Square"),
        (15.0, "near Market Square"),
        (30.0, "in the vicinity of Market Square"),
        (49.9, "in the vicinity of Market Square"),
        (71.0, "near Old Mill"),
    ],
)
def test_a_walker_is_placed_by_its_distance(distance: float, words: str) -> None:
    walking = Truth("npc-1", 3.0, (), None, (distance, 0.0, 0.0), "walking")

    assert expectation().place_of(walking) == words


def test_a_walker_far_from_everything_is_in_the_open() -> None:
    walking = Truth("npc-1", 3.0, (), None, (0.0, 0.0, 60.0), "walking")

    assert expectation().place_of(walking) == "in the open"


def test_an_empty_group_is_right_when_nobody_is_there() -> None:
    alone = Truth("npc-1", 3.0, (), "market", (0.0, 0.0, 0.0), "idle")
    empty = {**GROUP, "members": {}, "summary": "Current members: none"}
    blocks = {
        "group_members": MemoryBlock(json.dumps(empty)),
        "status": MemoryBlock(json.dumps(STATUS)),
    }

    assert list(differences(alone, blocks, Expectation(TOWN, {}, Notebook()))) == []
