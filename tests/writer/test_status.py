from typing import Any

import orjson
import pytest

from streams.writer.budget import DoesNotFitError
from streams.writer.document import UNSORTED
from streams.writer.merge import Rendered
from streams.writer.status import is_motion, status_document
from tests.writer.commands import NOON, desired, stamp_after
from topics.models import Conflict, Desired, Editor


def written(rendered: Rendered) -> Any:
    return orjson.loads(rendered.value)


def at(location: str, action: str = "idle") -> Desired:
    return desired(location=location, action=action)


def test_a_first_status_has_no_previous_location() -> None:
    rendered = status_document("", at("Market"), NOON)

    assert rendered.value == (
        '{"current_location":"Market","previous_location":"","current_action":"idle",'
        '"movement_state":"stationary"}'
    )


def test_a_change_of_location_is_a_move_and_remembers_where_from() -> None:
    first = status_document("", at("Market"), NOON)

    second = status_document(first.value, at("Inn"), NOON + 3, stamp_after(first))

    assert written(second) == {
        "current_location": "Inn",
        "previous_location": "Market",
        "current_action": "idle",
        "movement_state": "moving",
    }
    assert second.conflicts == ()


def test_the_same_move_twice_renders_the_same_bytes() -> None:
    first = status_document("", at("Market"), NOON)
    second = status_document(first.value, at("Inn"), NOON + 3, stamp_after(first))

    again = status_document(second.value, at("Inn"), NOON + 3, stamp_after(second, NOON + 3))

    assert again.value == second.value


def test_the_next_look_at_the_same_place_finds_the_npc_stationary() -> None:
    first = status_document("", at("Market"), NOON)
    second = status_document(first.value, at("Inn"), NOON + 3, stamp_after(first))

    third = status_document(second.value, at("Inn"), NOON + 6, stamp_after(second, NOON + 3))

    assert written(third)["movement_state"] == "stationary"
    assert written(third)["previous_location"] == "Market"
    again = status_document(third.value, at("Inn"), NOON + 60, stamp_after(third, NOON + 6))
    assert again.value == third.value


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("walking", True),
        ("Walking to the well", True),
        ("slowly walking home", True),
        ("fly", True),
        ("RUNNING!", True),
        ("idle", False),
        ("watching people walking by", False),
        ("", False),
        ("talking", False),
        ("firmly", False),
    ],
)
def test_an_action_of_motion_begins_with_a_verb_of_motion(action: str, expected: bool) -> None:
    assert is_motion(action) is expected
    state = written(status_document("", at("Market", action), NOON))["movement_state"]
    assert state == ("moving" if expected else "stationary")


def test_the_end_of_a_walk_is_stationary_even_at_the_same_moment() -> None:
    first = status_document("", at("Market", "walking"), NOON)

    second = status_document(first.value, at("Market"), NOON, stamp_after(first))

    assert written(second)["movement_state"] == "stationary"


def test_a_place_the_npc_wrote_into_the_block_is_no_place_it_has_been_to() -> None:
    first = status_document("", at("Market"), NOON)
    theirs = first.value.replace("Market", "my hut")

    second = status_document(theirs, at("Inn"), NOON + 3, stamp_after(first))

    assert written(second)["previous_location"] == "Market"
    assert second.conflicts == (
        Conflict(
            path="status.current_location",
            base="Market",
            ours="Inn",
            theirs="my hut",
            kept="Inn",
            by=Editor.OTHER,
        ),
    )


def test_a_write_back_of_an_older_status_is_undone_exactly() -> None:
    first = status_document("", at("Market"), NOON)
    second = status_document(first.value, at("Inn"), NOON + 3, stamp_after(first))

    repaired = status_document(first.value, at("Inn"), NOON + 3, stamp_after(second, NOON + 3))

    assert repaired.value == second.value


def test_fields_of_the_npc_stay() -> None:
    first = status_document("", at("Market"), NOON)
    theirs = first.value[:-1] + ',"mood":{"now":"glum"},"plan":["eat"]}'

    second = status_document(theirs, at("Inn"), NOON + 3, stamp_after(first))

    assert written(second)["mood"] == {"now": "glum"}
    assert written(second)["plan"] == ["eat"]


def test_a_labelled_line_is_read() -> None:
    rendered = status_document(
        "Location: Inn | Action: Sleeping | Mood: glum: very", at("Market"), NOON
    )

    assert written(rendered) == {
        "current_location": "Market",
        "previous_location": "Inn",
        "current_action": "idle",
        "movement_state": "moving",
        "Mood": "glum: very",
    }


@pytest.mark.parametrize(
    "text",
    [
        "I stand at the well.",
        "Note: buy bread",
        "Location: Inn | nothing",
        "Location: a | Location: b",
    ],
)
def test_any_other_text_is_kept(text: str) -> None:
    assert written(status_document(text, at("Market"), NOON))[UNSORTED] == [text]


@pytest.mark.parametrize("odd", ['{"current_location":7}', '{"movement_state":{}}', "[]", "null"])
def test_odd_shapes_settle_at_once(odd: str) -> None:
    first = status_document(odd, at("Market"), NOON)

    again = status_document(first.value, at("Market"), NOON, stamp_after(first))

    assert again.value == first.value


def test_a_diary_larger_than_the_block_is_kept_aside() -> None:
    theirs = orjson.dumps({"diary": "n" * 6000}).decode()

    first = status_document(theirs, at("Market"), NOON)

    [piece] = first.aside
    diary = written(first)["diary"]
    assert diary.partition("… ")[0] + piece.text == "n" * 6000
    again = status_document(first.value, at("Market"), NOON, stamp_after(first))
    assert (again.value, again.aside) == (first.value, first.aside)


def test_a_status_whose_game_fields_do_not_fit_is_refused_in_words() -> None:
    with pytest.raises(DoesNotFitError, match="limit is 100"):
        status_document("", at("M" * 200), NOON, limit=100)
