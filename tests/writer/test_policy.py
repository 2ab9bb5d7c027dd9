"""Whose value stays where somebody changed a field of the game's, and what is told of it."""

from typing import Any

import orjson
import pytest

from streams.settings import ConflictPolicy
from streams.writer.group import group_document
from streams.writer.merge import Rendered
from streams.writer.rules import Rules
from streams.writer.stamp import UNSTAMPED, Stamp
from streams.writer.status import status_document
from tests.writer.commands import ALICE, BOB, NOON, desired, stamp_after
from topics.models import Conflict, Desired, Editor, Member

GAME, NPC = Rules(ConflictPolicy.GAME), Rules(ConflictPolicy.NPC)
BOTH = pytest.mark.parametrize("rules", [GAME, NPC], ids=["game", "npc"])
MASKED = Member(id="1001", name="Alice", appearance="a mask")
NAMELESS = Member(id="1001", name="Alice", appearance="Unknown")


def group(
    theirs: str, *members: Member, stamp: Stamp = UNSTAMPED, rules: Rules = NPC, after: float = 3.0
) -> Rendered:
    return group_document(theirs, desired(*members), NOON + after, stamp, 5000, rules)


def status(theirs: str, wanted: Desired, stamp: Stamp = UNSTAMPED, rules: Rules = NPC) -> Rendered:
    return status_document(theirs, wanted, NOON + 3, stamp, 5000, rules)


def written(rendered: Rendered) -> Any:
    return orjson.loads(rendered.value)


def member(rendered: Rendered, who: str = "1001") -> Any:
    return written(rendered)["members"][who]


def edited(value: str, who: str = "1001", **fields: object) -> str:
    """The block after an NPC's tool changed a member."""
    document = orjson.loads(value)
    document["members"][who] |= fields
    return orjson.dumps(document).decode()


def without(value: str, who: str) -> str:
    document = orjson.loads(value)
    del document["members"][who]
    return orjson.dumps(document).decode()


# -- members ---------------------------------------------------------------------------------------


def test_what_an_npc_calls_somebody_stays_under_npc_and_is_told_every_time() -> None:
    first = group("", ALICE)
    theirs = edited(first.value, name="Queen", appearance="a crown")

    kept = group(theirs, ALICE, stamp=stamp_after(first))

    assert kept.value == theirs
    assert [(c.path, c.base, c.ours, c.theirs, c.kept, c.by) for c in kept.conflicts] == [
        ("group_members.members.1001.name", "Alice", "Alice", "Queen", "Queen", Editor.OTHER),
        (
            "group_members.members.1001.appearance",
            ALICE.appearance,
            ALICE.appearance,
            "a crown",
            "a crown",
            Editor.OTHER,
        ),
    ]


def test_it_stays_when_the_block_is_written_for_another_reason() -> None:
    first = group("", ALICE)
    theirs = edited(first.value, name="Queen")

    second = group(theirs, ALICE, BOB, stamp=stamp_after(first))
    third = group(second.value, ALICE, stamp=stamp_after(second))

    assert [member(r)["name"] for r in (second, third)] == ["Queen", "Queen"]
    assert second.base["members"][0] == ["1001", "Alice", ALICE.appearance]
    assert [c.kept for c in third.conflicts] == ["Queen"]
    assert written(second)["summary"] == "Current members: Alice, Bob"


def test_it_goes_once_the_game_says_something_else_and_that_is_told() -> None:
    first = group("", ALICE)
    theirs = edited(first.value, name="Queen", appearance="a crown")

    renamed = Member(id="1001", name="Alicia", appearance=ALICE.appearance)
    second = group(theirs, renamed, stamp=stamp_after(first))

    assert (member(second)["name"], member(second)["appearance"]) == ("Alicia", "a crown")
    assert [(c.theirs, c.kept) for c in second.conflicts] == [
        ("Queen", "Alicia"),
        ("a crown", "a crown"),
    ]


def test_under_game_the_games_value_is_put_back() -> None:
    first = group("", ALICE, rules=GAME)
    theirs = edited(first.value, name="Queen")

    second = group(theirs, ALICE, stamp=stamp_after(first), rules=GAME)

    assert member(second)["name"] == "Alice"
    assert [c.kept for c in second.conflicts] == ["Alice"]


@pytest.mark.parametrize("nothing", ["", " ", "Unknown", None, 7, {"a": 1}, "x" * 1001])
def test_only_a_text_that_says_something_stands_against_the_games(nothing: object) -> None:
    first = group("", ALICE)
    theirs = edited(first.value, name=nothing, appearance=nothing)

    second = group(theirs, ALICE, stamp=stamp_after(first))

    assert member(second) == member(first)
    assert {c.kept for c in second.conflicts} == {"Alice", ALICE.appearance}


def test_an_appearance_the_game_forgets_and_remembers_is_no_change_of_the_games() -> None:
    first = group("", ALICE)
    theirs = edited(first.value, appearance="a crown")
    forgotten = group(theirs, NAMELESS, BOB, stamp=stamp_after(first))

    remembered = group(forgotten.value, ALICE, BOB, stamp=stamp_after(forgotten))

    assert remembered.value == forgotten.value
    assert member(remembered)["appearance"] == "a crown"


def test_what_the_npc_and_the_game_agree_on_is_the_games_from_then_on() -> None:
    first = group("", ALICE)
    theirs = edited(first.value, appearance="a mask")

    agreed = group(theirs, MASKED, stamp=stamp_after(first))
    assert (agreed.value, agreed.conflicts, agreed.is_base_news) == (theirs, (), True)
    unmasked = group(agreed.value, ALICE, stamp=stamp_after(agreed))

    assert member(unmasked)["appearance"] == ALICE.appearance
    assert unmasked.conflicts == ()


def test_a_kept_appearance_is_never_cut_for_room() -> None:
    crowd = [Member(id=str(n), name=f"P{n}", appearance="é" * 300) for n in range(5)]
    first = group_document("", desired(*crowd), NOON, UNSTAMPED, 1500, NPC)
    theirs = edited(first.value, "3", appearance="n" * 280)

    second = group_document(theirs, desired(*crowd), NOON + 3, stamp_after(first), 1500, NPC)
    third = group_document(second.value, desired(*crowd), NOON + 6, stamp_after(second), 1500, NPC)

    assert member(second, "3")["appearance"] == "n" * 280
    assert member(second, "0")["appearance"].endswith("é…")
    assert len(second.value) <= 1500
    assert third.value == second.value
    assert not third.is_base_news


@BOTH
def test_who_stands_there_is_the_games_under_either_policy(rules: Rules) -> None:
    first = group("", ALICE, BOB, rules=rules)

    second = group(without(first.value, "1002"), ALICE, BOB, stamp=stamp_after(first), rules=rules)

    assert list(written(second)["members"]) == ["1001", "1002"]
    assert [(c.path, c.theirs) for c in second.conflicts] == [("group_members.members.1002", None)]


@BOTH
def test_a_summary_is_the_games_under_either_policy_and_told_where_nothing_else_is(
    rules: Rules,
) -> None:
    first = group("", ALICE, rules=rules)
    theirs = first.value.replace("Current members: Alice", "Alone at last")

    second = group(theirs, ALICE, stamp=stamp_after(first), rules=rules)

    assert written(second)["summary"] == "Current members: Alice"
    assert second.conflicts == (
        Conflict(
            path="group_members.summary",
            base="Current members: Alice",
            ours="Current members: Alice",
            theirs="Alone at last",
            kept="Current members: Alice",
            by=Editor.OTHER,
        ),
    )


# -- write-backs -----------------------------------------------------------------------------------


@BOTH
def test_a_write_back_is_undone_under_either_policy_and_told_apart(rules: Rules) -> None:
    first = group("", ALICE, rules=rules)
    second = group(first.value, MASKED, BOB, stamp=stamp_after(first), rules=rules)

    repaired = group(first.value, MASKED, BOB, stamp=stamp_after(second), rules=rules, after=6)

    assert written(repaired)["members"] == written(second)["members"]
    assert [(c.path.removeprefix("group_members.members."), c.by) for c in repaired.conflicts] == [
        ("1001.appearance", Editor.AGENT),
        ("1002", Editor.AGENT),
    ]


@BOTH
def test_a_leaver_whom_a_write_back_brings_back_leaves_again_and_is_told(rules: Rules) -> None:
    first = group("", ALICE, BOB, rules=rules)
    left = group(first.value, ALICE, stamp=stamp_after(first), rules=rules)

    repaired = group(first.value, ALICE, stamp=stamp_after(left), rules=rules, after=6)

    assert list(written(repaired)["members"]) == ["1001"]
    assert repaired.conflicts == (
        Conflict(
            path="group_members.members.1002",
            base=None,
            ours=None,
            theirs={"name": "Bob", "appearance": "short, green hat"},
            kept=None,
            by=Editor.AGENT,
        ),
    )


def test_a_note_appended_in_the_step_that_writes_back_does_not_hide_who_did_it() -> None:
    first = group("", ALICE)
    second = group(first.value, ALICE, BOB, stamp=stamp_after(first))
    theirs = edited(first.value, notes="sings") + "\nMet Alice at noon."

    repaired = group(theirs, ALICE, BOB, stamp=stamp_after(second))

    assert [c.by for c in repaired.conflicts] == [Editor.AGENT]
    assert member(repaired)["notes"] == "sings"
    assert written(repaired)["unsorted_notes"] == ["Met Alice at noon."]


def test_an_edit_in_the_step_that_writes_back_stays_while_the_rest_is_repaired() -> None:
    first = status("", desired(location="Market"))
    second = status(first.value, desired(location="Inn"), stamp_after(first))
    theirs = first.value.replace("idle", "sulking")

    repaired = status(theirs, desired(location="Inn"), stamp_after(second, NOON + 3))

    assert written(repaired) == {**written(second), "current_action": "sulking"}
    assert {c.path.removeprefix("status."): c.by for c in repaired.conflicts} == {
        "current_location": Editor.AGENT,
        "previous_location": Editor.AGENT,
        "current_action": Editor.OTHER,
        "movement_state": Editor.AGENT,
    }


def test_a_write_back_of_what_the_npc_was_let_keep_loses_it_not() -> None:
    first = group("", ALICE)
    queen = group(edited(first.value, name="Queen"), ALICE, BOB, stamp=stamp_after(first))
    left = group(queen.value, ALICE, stamp=stamp_after(queen))

    repaired = group(queen.value, ALICE, stamp=stamp_after(left))

    assert written(repaired)["members"] == written(left)["members"]
    assert member(repaired)["name"] == "Queen"
    assert {c.path[22:]: c.by for c in repaired.conflicts} == {
        "1001.name": Editor.OTHER,
        "1002": Editor.AGENT,
    }


def test_members_in_another_order_do_not_hide_a_write_back() -> None:
    first = group("", ALICE, BOB)
    second = group(first.value, ALICE, stamp=stamp_after(first))
    document = orjson.loads(first.value)
    document["members"] = dict(reversed(document["members"].items()))

    repaired = group(orjson.dumps(document).decode(), ALICE, stamp=stamp_after(second))

    assert [c.by for c in repaired.conflicts] == [Editor.AGENT]


def test_a_value_the_writer_only_saw_is_repaired_and_the_npcs_part_of_it_is_not_trusted() -> None:
    first = status("", desired(location="Market"))
    held = first.value.replace("idle", "sulking")
    edited_again = held.replace("Market", "my hut")
    busy = status(edited_again, desired(location="Market", action="busy"), stamp_after(first))
    moved = status(busy.value, desired(location="Inn", action="busy"), stamp_after(busy))

    repaired = status(held, desired(location="Inn", action="busy"), stamp_after(moved, NOON + 3))

    assert repaired.value == moved.value
    assert {c.kept for c in repaired.conflicts} >= {"Inn", "busy"}


def test_a_renamed_member_in_the_step_that_writes_back_keeps_its_name_and_no_old_looks() -> None:
    first = group("", ALICE)
    masked = group(first.value, MASKED, stamp=stamp_after(first))
    theirs = edited(first.value, name="Queen")

    repaired = group(theirs, MASKED, stamp=stamp_after(masked))

    assert (member(repaired)["name"], member(repaired)["appearance"]) == ("Queen", "a mask")
    assert [c.by for c in repaired.conflicts] == [Editor.OTHER, Editor.AGENT]


# -- the status ------------------------------------------------------------------------------------


def test_a_status_of_the_npcs_stays_field_by_field_until_the_game_changes_that_field() -> None:
    first = status("", desired(location="Market"))
    theirs = first.value.replace("idle", "dreaming").replace("stationary", "moving")

    kept = status(theirs, desired(location="Market"), stamp_after(first))
    moved = status(theirs, desired(location="Inn"), stamp_after(first))

    assert kept.value == theirs
    assert [c.path for c in kept.conflicts] == ["status.current_action", "status.movement_state"]
    assert written(moved) == {
        "current_location": "Inn",
        "previous_location": "Market",
        "current_action": "dreaming",
        "movement_state": "moving",
    }


def test_a_movement_that_is_neither_moving_nor_stationary_does_not_stay() -> None:
    first = status("", desired())

    second = status(first.value.replace("stationary", "dancing"), desired(), stamp_after(first))

    assert second.value == first.value
    assert [(c.theirs, c.kept) for c in second.conflicts] == [("dancing", "stationary")]


def test_a_place_of_the_npcs_becomes_no_place_it_has_been_to() -> None:
    first = status("", desired(location="Market"))
    theirs = first.value.replace("Market", "my hut")
    kept = status(theirs, desired(location="Market"), stamp_after(first))

    moved = status(kept.value, desired(location="Inn"), stamp_after(first))

    assert written(kept)["current_location"] == "my hut"
    assert written(moved)["previous_location"] == "Market"
