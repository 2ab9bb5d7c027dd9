import json
from typing import Any

import orjson
import pytest

from streams.writer.budget import DoesNotFitError
from streams.writer.document import UNSORTED, read
from streams.writer.group import group_document
from streams.writer.stamp import UNSTAMPED
from tests.writer.commands import ALICE, BOB, GRETA, NOON, desired, stamp_after
from topics.models import Conflict, Editor, Member


def written(value: str) -> Any:
    return orjson.loads(value)


def edited(value: str, **changes: object) -> str:
    """The block after an NPC's tool changed some top-level fields."""
    return orjson.dumps({**orjson.loads(value), **changes}).decode()


def with_member(value: str, who: str, entry: object) -> str:
    document = orjson.loads(value)
    return edited(value, members={**document["members"], who: entry})


def noted(value: str, who: str, **fields: object) -> str:
    return with_member(value, who, {**orjson.loads(value)["members"][who], **fields})


def test_a_first_write_names_everybody_as_joined() -> None:
    rendered = group_document("", desired(ALICE, GRETA), NOON)

    assert rendered.value == (
        '{"members":{"1001":{"name":"Alice","appearance":"tall, red scarf","notes":""},'
        '"npc-greta":{"name":"Greta","appearance":"the baker","notes":""}},'
        '"summary":"Current members: Alice, Greta",'
        '"updates":["Alice, Greta joined the group"],'
        '"last_updated":"2026-11-23T09:33:33.200+00:00"}'
    )
    assert rendered.conflicts == ()


def test_an_empty_group_has_a_summary_and_no_news() -> None:
    document = written(group_document("", desired(), NOON).value)

    assert document["members"] == {}
    assert document["summary"] == "Current members: none"
    assert document["updates"] == []


def test_the_same_command_twice_renders_the_same_bytes() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)

    again = group_document(first.value, desired(ALICE, BOB), NOON, stamp_after(first))

    assert again.value == first.value


def test_a_later_look_at_the_same_group_changes_nothing_not_even_the_time() -> None:
    first = group_document("", desired(ALICE), NOON)

    later = group_document(first.value, desired(ALICE), NOON + 300, stamp_after(first))

    assert later.value == first.value


def test_joins_stand_before_leaves_and_both_before_older_news() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)

    second = group_document(first.value, desired(ALICE, GRETA), NOON + 3, stamp_after(first))

    document = written(second.value)
    assert document["updates"] == [
        "Greta joined the group",
        "Bob left the group",
        "Alice, Bob joined the group",
    ]
    assert document["last_updated"] == "2026-11-23T09:33:36.200+00:00"
    assert list(document["members"]) == ["1001", "npc-greta"]


def test_updates_hold_ten_lines_at_most() -> None:
    rendered = group_document("", desired(), NOON)
    for step in range(30):
        group = desired(ALICE) if step % 2 else desired(BOB)
        rendered = group_document(rendered.value, group, NOON + step, stamp_after(rendered))

    updates = written(rendered.value)["updates"]
    assert len(updates) == 10
    assert updates[:2] == ["Alice joined the group", "Bob left the group"]


def test_what_the_npc_wrote_stays() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)
    theirs = edited(first.value, mood={"today": ["glum", None, 1.5]})
    theirs = noted(theirs, "1001", notes="owes me five coins", trust=0.25)
    theirs = with_member(theirs, "stranger", {"seen": "by the well"})

    second = group_document(theirs, desired(ALICE), NOON + 3, stamp_after(first))

    document = written(second.value)
    assert document["mood"] == {"today": ["glum", None, 1.5]}
    assert document["members"] == {
        "1001": {
            "name": "Alice",
            "appearance": "tall, red scarf",
            "notes": "owes me five coins",
            "trust": 0.25,
        },
        "stranger": {"seen": "by the well"},
    }
    assert document["summary"] == "Current members: Alice"


def test_notes_of_a_player_who_left_come_back_with_the_player() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)
    theirs = noted(first.value, "1002", notes="likes chess", trust={"level": 2})
    left = group_document(theirs, desired(ALICE), NOON + 3, stamp_after(first))
    assert left.absent == {"1002": {"notes": "likes chess", "trust": {"level": 2}}}
    assert "1002" not in written(left.value)["members"]

    back = group_document(left.value, desired(ALICE, BOB), NOON + 6, stamp_after(left))

    assert written(back.value)["members"]["1002"] == {
        "name": "Bob",
        "appearance": "short, green hat",
        "notes": "likes chess",
        "trust": {"level": 2},
    }
    assert back.absent == {}


def test_somebody_without_notes_leaves_nothing_behind() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)

    left = group_document(first.value, desired(ALICE), NOON + 3, stamp_after(first))

    assert left.absent == {}
    assert left.gone == ("1002",)


def test_a_write_back_that_brings_a_leaver_back_is_taken_out_again() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)
    left = group_document(first.value, desired(ALICE), NOON + 3, stamp_after(first))

    repaired = group_document(first.value, desired(ALICE), NOON + 6, stamp_after(left))

    assert list(written(repaired.value)["members"]) == ["1001"]


def test_a_write_back_that_drops_a_member_is_repaired_and_reported() -> None:
    first = group_document("", desired(ALICE), NOON)
    joined = group_document(first.value, desired(ALICE, BOB), NOON + 3, stamp_after(first))

    repaired = group_document(first.value, desired(ALICE, BOB), NOON + 6, stamp_after(joined))

    assert list(written(repaired.value)["members"]) == ["1001", "1002"]
    ours = {"name": "Bob", "appearance": "short, green hat"}
    assert repaired.conflicts == (
        Conflict(
            path="group_members.members.1002",
            base=ours,
            ours=ours,
            theirs=None,
            kept=ours,
            by=Editor.AGENT,
        ),
    )


def test_a_field_of_the_games_that_the_npc_changed_is_put_right_and_reported() -> None:
    first = group_document("", desired(ALICE), NOON)
    theirs = noted(first.value, "1001", name="Queen Alice")

    second = group_document(theirs, desired(ALICE), NOON + 3, stamp_after(first))

    assert written(second.value)["members"]["1001"]["name"] == "Alice"
    assert second.conflicts == (
        Conflict(
            path="group_members.members.1001.name",
            base="Alice",
            ours="Alice",
            theirs="Queen Alice",
            kept="Alice",
            by=Editor.OTHER,
        ),
    )


def test_a_description_that_arrives_later_is_written_without_news() -> None:
    unknown = Member(id="1001", name="Alice")
    first = group_document("", desired(unknown), NOON)
    assert written(first.value)["members"]["1001"]["appearance"] == ""

    second = group_document(first.value, desired(ALICE), NOON + 3, stamp_after(first))

    document = written(second.value)
    assert document["members"]["1001"]["appearance"] == "tall, red scarf"
    assert document["updates"] == ["Alice joined the group"]
    assert second.conflicts == ()


@pytest.mark.parametrize("nothing", ["", "Unknown", "unknown", " "])
def test_nothing_never_overwrites_a_real_appearance(nothing: str) -> None:
    first = group_document("", desired(ALICE), NOON)
    forgotten = Member(id="1001", name="Alice", appearance=nothing)

    second = group_document(first.value, desired(forgotten), NOON + 3, stamp_after(first))

    assert second.value == first.value


def test_a_player_known_by_name_keeps_its_notes_when_its_id_is_found() -> None:
    by_name = Member(id="Alice", name="Alice")
    first = group_document("", desired(by_name), NOON)
    theirs = noted(first.value, "Alice", notes="sings")

    second = group_document(theirs, desired(ALICE), NOON + 3, stamp_after(first))

    document = written(second.value)
    assert document["members"] == {
        "1001": {"name": "Alice", "appearance": "tall, red scarf", "notes": "sings"}
    }
    assert document["updates"] == ["Alice joined the group"]


def test_a_player_who_left_under_a_name_finds_its_notes_under_an_id() -> None:
    by_name = Member(id="Alice", name="Alice")
    first = group_document("", desired(by_name), NOON)
    left = group_document(
        noted(first.value, "Alice", notes="sings"), desired(), NOON + 3, stamp_after(first)
    )

    back = group_document(left.value, desired(ALICE), NOON + 6, stamp_after(left))

    assert written(back.value)["members"]["1001"]["notes"] == "sings"
    assert back.absent == {}


@pytest.mark.parametrize("who", ["unnamed_bob", "bob", "BOB", "stranger_3"])
def test_somebody_the_npc_made_up_becomes_the_player_of_that_name(who: str) -> None:
    first = group_document("", desired(ALICE), NOON)
    made_up = {"name": "bob", "appearance": "hooded", "notes": "limps"}
    theirs = with_member(first.value, who, made_up)

    second = group_document(theirs, desired(ALICE, BOB), NOON + 3, stamp_after(first))

    bob = written(second.value)["members"]["1002"]
    assert (bob["name"], bob["notes"]) == ("Bob", "limps")
    assert bob["noted_appearance"] == "hooded"
    assert written(second.value)["updates"][0] == "Bob joined the group"
    assert list(written(second.value)["members"]) == ["1001", "1002"]


def test_two_accounts_of_one_person_are_both_kept() -> None:
    first = group_document("", desired(BOB), NOON)
    theirs = noted(first.value, "1002", notes="likes chess")
    theirs = with_member(theirs, "unnamed_bob", {"notes": "limps", "mood": "sly"})

    second = group_document(theirs, desired(BOB), NOON, stamp_after(first))

    bob = written(second.value)["members"]["1002"]
    assert (bob["notes"], bob["mood"]) == ("likes chess\nlimps", "sly")


def test_two_players_of_one_name_stay_two() -> None:
    namesake = Member(id="2002", name="Alice", appearance="blond")
    first = group_document("", desired(ALICE), NOON)
    theirs = noted(first.value, "1001", notes="owes me five coins")

    second = group_document(theirs, desired(namesake), NOON + 3, stamp_after(first))

    assert written(second.value)["members"]["2002"]["notes"] == ""
    assert second.absent == {"1001": {"notes": "owes me five coins"}}


def test_a_player_who_takes_an_npcs_id_for_a_name_gets_none_of_its_notes() -> None:
    impostor = Member(id="6666", name="npc-greta")
    first = group_document("", desired(GRETA), NOON)
    theirs = noted(first.value, "npc-greta", notes="my sister")

    second = group_document(theirs, desired(impostor), NOON + 3, stamp_after(first))
    third = group_document(second.value, desired(impostor), NOON + 6, stamp_after(second))

    assert third.absent == {"npc-greta": {"notes": "my sister"}}


# -- variants in the wild --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "theirs",
    [
        '{"players":{"1001":{"name":"Alice","appearance":"old","notes":"sings"}}}',
        '{"members":[{"id":1001,"name":"Alice","notes":"sings"}]}',
        '{"members":[{"player_id":"1001","notes":"sings"}]}',
        '{"players":[{"name":"alice","notes":"sings"}]}',
        '{"members":{"1001":"sings"}}',
        '{"members":{"Alice":"sings"}}',
        '{"members":{"alice":{"notes":"sings"}},"players":7}',
    ],
)
def test_members_are_found_however_they_were_written(theirs: str) -> None:
    document = written(group_document(theirs, desired(ALICE), NOON).value)

    assert document["members"]["1001"]["notes"] == "sings"
    assert document["members"].keys() == {"1001"}


@pytest.mark.parametrize(
    "theirs",
    [
        '{"members":["Alice","Bob"]}',
        '{"players":["Alice","Bob"]}',
        '{"members":[["1001","Alice"],["1002","Bob"]]}',
        '{"members":{"1001":"Alice","1002":{"name":"Bob","appearance":"short"}}}',
    ],
)
def test_a_list_of_an_earlier_integration_is_taken_over(theirs: str) -> None:
    rendered = group_document(theirs, desired(ALICE), NOON)

    document = written(rendered.value)
    assert document["members"].keys() == {"1001"}
    assert document["members"]["1001"]["notes"] in ("", "Alice")
    assert document["updates"] == ["Bob left the group"]


def test_notes_in_a_block_without_our_stamp_wait_for_their_player() -> None:
    theirs = '{"members":{"77":{"name":"Bob","appearance":"short","notes":"likes chess"}}}'
    left = group_document(theirs, desired(ALICE), NOON, UNSTAMPED)

    back = group_document(left.value, desired(BOB), NOON + 3, stamp_after(left))

    assert written(back.value)["members"]["1002"]["notes"] == "likes chess"


def test_a_made_up_entry_in_a_block_without_our_stamp_stays() -> None:
    theirs = '{"members":{"unnamed_stranger":{"name":"?","appearance":"tall","notes":"hooded"}}}'

    document = written(group_document(theirs, desired(ALICE), NOON).value)

    assert document["members"]["unnamed_stranger"]["notes"] == "hooded"


@pytest.mark.parametrize("text", ["No one is nearby.", '{"members": oops}', "[1, 2"])
def test_text_that_cannot_be_read_is_kept(text: str) -> None:
    document = written(group_document(text, desired(ALICE), NOON).value)

    assert document[UNSORTED] == [text]
    assert document["members"].keys() == {"1001"}


@pytest.mark.parametrize(
    "odd",
    [
        '{"members":7}',
        '{"members":"Alice, Bob"}',
        '{"members":[7,null,["a"],{"mood":1},true,""]}',
        '{"updates":"Bob waved"}',
        '{"updates":{"a":1},"summary":[],"last_updated":4}',
        '{"members":{"1001":null}}',
        '{"members":{"1001":[1]}}',
        '{"members":{"1001":{"name":[],"appearance":{},"notes":{"deep":[1]}}}}',
    ],
)
def test_odd_shapes_are_taken_as_they_come_and_settle_at_once(odd: str) -> None:
    first = group_document(odd, desired(ALICE), NOON)

    again = group_document(first.value, desired(ALICE), NOON + 9, stamp_after(first))

    assert again.value == first.value
    assert written(first.value)["members"]["1001"]["name"] == "Alice"


def test_an_appended_line_is_moved_into_the_document() -> None:
    first = group_document("", desired(ALICE), NOON)

    second = group_document(
        first.value + "\nAlice is kind", desired(ALICE), NOON + 3, stamp_after(first)
    )

    assert written(second.value)[UNSORTED] == ["Alice is kind"]


def test_another_order_of_fields_or_spacing_is_no_reason_to_write() -> None:
    first = group_document("", desired(ALICE, BOB), NOON)
    reordered = dict(reversed(written(first.value).items()))
    theirs = orjson.dumps(reordered, option=orjson.OPT_INDENT_2).decode()

    second = group_document(theirs, desired(ALICE, BOB), NOON + 3, stamp_after(first))

    assert second.value == theirs


# -- the budget ------------------------------------------------------------------------------------


def test_old_news_go_first_when_the_block_is_full() -> None:
    first = group_document("", desired(ALICE), NOON)
    theirs = edited(first.value, updates=[f"line {n} " + "x" * 100 for n in range(9)])

    second = group_document(theirs, desired(ALICE, BOB), NOON + 3, stamp_after(first), limit=700)

    updates = written(second.value)["updates"]
    assert len(second.value) <= 700
    assert updates[0] == "Bob joined the group"
    assert 1 < len(updates) < 10
    assert written(second.value)["members"]["1002"]["appearance"] == BOB.appearance


def test_appearances_are_cut_after_the_news_and_notes_never() -> None:
    crowd = [Member(id=str(n), name=f"P{n}", appearance="é" * 300) for n in range(5)]
    first = group_document("", desired(*crowd), NOON)
    theirs = noted(first.value, "3", notes="n" * 600)

    second = group_document(theirs, desired(*crowd), NOON + 3, stamp_after(first), limit=1500)

    document = written(second.value)
    assert 1490 <= len(second.value) <= 1500
    assert document["updates"] == []
    assert document["members"]["3"]["notes"] == "n" * 600
    assert {m["appearance"] for m in document["members"].values()} == {
        document["members"]["0"]["appearance"]
    }
    assert document["members"]["0"]["appearance"].endswith("é…")
    again = group_document(second.value, desired(*crowd), NOON + 6, stamp_after(second), limit=1500)
    assert again.value == second.value
    assert again.conflicts == ()


def test_notes_larger_than_the_block_are_kept_aside_and_a_marker_says_so() -> None:
    theirs = orjson.dumps({"diary": "n" * 6000}).decode()

    rendered = group_document(theirs, desired(ALICE), NOON)

    diary, [piece] = written(rendered.value)["diary"], rendered.aside
    head, _, marker = diary.partition("… ")
    assert marker == f"[{len(piece.text)} more characters kept aside, no. 1]"
    assert head + piece.text == "n" * 6000
    assert (piece.no, piece.where, piece.observed_at) == (1, ("diary",), NOON)
    assert 4400 < len(rendered.value) <= 4600


def test_a_group_whose_bare_names_do_not_fit_is_refused_in_words() -> None:
    crowd = [Member(id=str(number), name="N" * 200) for number in range(20)]

    with pytest.raises(DoesNotFitError, match="limit is 5000"):
        group_document("", desired(*crowd), NOON)


def test_a_time_no_calendar_has_is_refused() -> None:
    with pytest.raises(ValueError, match="observed_at"):
        group_document("", desired(ALICE), 1e300)


def test_a_document_that_needs_nothing_is_recognised_without_our_stamp() -> None:
    value = group_document("", desired(ALICE), NOON).value

    assert group_document(value, desired(ALICE), NOON + 9).value == value
    assert read(value).exact


def test_a_time_that_somebody_made_too_long_is_written_anew() -> None:
    value = json.dumps({"members": {}, "last_updated": "x" * 5000})

    rendered = group_document(value, desired(ALICE), NOON)

    assert len(json.loads(rendered.value)["last_updated"]) < 40


def test_an_appearance_that_an_npc_made_too_long_is_shortened_where_the_game_has_none() -> None:
    unknown = Member(id="1003", name="Carl")
    told = {"1003": {"name": "Carl", "appearance": "y" * 4900, "notes": "kind"}}

    rendered = group_document(json.dumps({"members": told}), desired(unknown, ALICE), NOON)

    assert "kind" == json.loads(rendered.value)["members"]["1003"]["notes"]
    assert len(rendered.value) <= 5000
