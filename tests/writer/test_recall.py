"""What a write-back of an agent's took from the NPC's own part comes back."""

import json
from typing import Any

import msgspec
import pytest

from streams.writer.group import group_document
from streams.writer.stamp import UNSTAMPED, Stamp
from streams.writer.status import status_document
from tests.writer.commands import ALICE, BOB, NOON, desired, stamp_after
from topics.models import Member


def grouped(value: str, *members: Member, at: float, stamp: Stamp = UNSTAMPED) -> tuple[str, Stamp]:
    rendered = group_document(value, desired(*members), at, stamp)
    return rendered.value, stamp_after(rendered, observed_at=at)


def noting(value: str, who: str, text: str) -> str:
    document: dict[str, Any] = json.loads(value)
    document["members"][who]["notes"] = text
    return json.dumps(document)


def test_a_note_that_came_back_with_its_player_survives_a_write_back() -> None:
    value, stamp = grouped("", ALICE, BOB, at=NOON)
    value, stamp = grouped(noting(value, BOB.id, "owes me"), ALICE, at=NOON + 1, stamp=stamp)
    held_by_the_agent = value
    _, stamp = grouped(value, ALICE, BOB, at=NOON + 2, stamp=stamp)

    repaired, _ = grouped(held_by_the_agent, ALICE, BOB, at=NOON + 2, stamp=stamp)

    assert "owes me" == json.loads(repaired)["members"][BOB.id]["notes"]


def test_a_note_that_left_with_its_player_after_a_write_back_waits_for_the_return() -> None:
    value, stamp = grouped("", ALICE, at=NOON)
    held_by_the_agent = value
    value, stamp = grouped(value, ALICE, BOB, at=NOON + 1, stamp=stamp)
    value, stamp = grouped(noting(value, BOB.id, "owes me"), BOB, at=NOON + 2, stamp=stamp)

    left, stamp = grouped(held_by_the_agent, ALICE, at=NOON + 3, stamp=stamp)
    returned, _ = grouped(left, ALICE, BOB, at=NOON + 4, stamp=stamp)

    assert BOB.id not in json.loads(left)["members"]
    assert "owes me" == json.loads(returned)["members"][BOB.id]["notes"]


def test_somebody_the_npc_made_up_and_its_own_fields_survive_a_write_back() -> None:
    value, stamp = grouped("", ALICE, at=NOON)
    held_by_the_agent = value
    document = json.loads(value)
    document["members"]["the_ghost"] = {"notes": "seen at night"}
    document["plan"] = "leave town"
    _, stamp = grouped(json.dumps(document), ALICE, BOB, at=NOON + 1, stamp=stamp)

    repaired, _ = grouped(held_by_the_agent, ALICE, BOB, at=NOON + 1, stamp=stamp)

    assert {"notes": "seen at night"} == json.loads(repaired)["members"]["the_ghost"]
    assert "leave town" == json.loads(repaired)["plan"]


def test_what_was_noted_in_the_same_run_stays_beside_what_comes_back() -> None:
    value, stamp = grouped("", ALICE, at=NOON)
    held_by_the_agent = value
    _, stamp = grouped(noting(value, ALICE.id, "tall"), ALICE, BOB, at=NOON + 1, stamp=stamp)

    written_back = noting(held_by_the_agent, ALICE.id, "sings")
    repaired, _ = grouped(written_back, ALICE, BOB, at=NOON + 1, stamp=stamp)

    assert "sings\ntall" == json.loads(repaired)["members"][ALICE.id]["notes"]


def test_what_an_npc_deletes_outside_of_a_write_back_stays_deleted() -> None:
    value, stamp = grouped("", ALICE, at=NOON)
    value, stamp = grouped(noting(value, ALICE.id, "tall"), ALICE, BOB, at=NOON + 1, stamp=stamp)

    after, _ = grouped(noting(value, ALICE.id, ""), ALICE, BOB, at=NOON + 2, stamp=stamp)

    assert "" == json.loads(after)["members"][ALICE.id]["notes"]


@pytest.mark.parametrize("own", [7, [], "x", {"1001": 7}, {"1001": ["x"]}])
def test_a_stamp_that_somebody_damaged_stops_no_update(own: object) -> None:
    value, stamp = grouped("", ALICE, at=NOON)
    _, stamp = grouped(value, ALICE, BOB, at=NOON + 1, stamp=stamp)
    damaged = msgspec.structs.replace(stamp, own={"members": own, "unsorted_notes": own})

    repaired, _ = grouped(value, ALICE, BOB, at=NOON + 1, stamp=damaged)

    assert {ALICE.id, BOB.id} == set(json.loads(repaired)["members"])


def test_a_field_of_the_npcs_in_its_status_survives_a_write_back() -> None:
    first = status_document("", desired(location="mill"), NOON)
    stamp = stamp_after(first)
    noted = json.dumps({**json.loads(first.value), "mood": "cheerful"})
    second = status_document(noted, desired(location="inn"), NOON + 1, stamp)

    repaired = status_document(
        first.value, desired(location="inn"), NOON + 1, stamp_after(second, NOON + 1)
    )

    assert "cheerful" == json.loads(repaired.value)["mood"]
