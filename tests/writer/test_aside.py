"""What has no room is kept aside, and together with what stayed it is what the NPC wrote."""

import re
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.writer.aside import Owned, Piece, Shelf, with_room
from streams.writer.document import UNSORTED, Document, render
from tests.writer.commands import NOON

GROUP = Owned(("members", "summary"), {"1001", "1002"}, ("name", "appearance"))
STATUS = Owned(("current_location",))
MARKER = re.compile(r"… \[\d+ more characters kept aside, no\. ([\d, ]+)\]")
WHOLE = re.compile(r"\[kept aside, no\. (\d+)\]")
FIELDS = re.compile(r"\[\d+ fields kept aside, no\. (\d+)\]")


def restored(value: Any, pieces: dict[int, Piece]) -> Any:
    """What the NPC wrote, from what stayed and the pieces: the markers are taken at their word."""
    if isinstance(value, list):
        return [restored(item, pieces) for item in value]
    if isinstance(value, dict):
        return _restored_fields(value, pieces)
    if not isinstance(value, str):
        return value
    if whole := WHOLE.fullmatch(value):
        return restored(pieces[int(whole[1])].text, pieces)
    return MARKER.sub(lambda found: _joined(found[1], pieces), value)


def _restored_fields(value: Document, pieces: dict[int, Piece]) -> Document:
    fields: Document = {}
    for name, inner in value.items():
        marker = inner[0] if isinstance(inner, list) and len(inner) == 1 else inner
        found = FIELDS.fullmatch(marker) if isinstance(marker, str) else None
        if found is None:
            fields[name] = restored(inner, pieces)
            continue
        for key, part in restored(pieces[int(found[1])].text, pieces).items():
            fields[key] = {**fields[key], **part} if key == "members" else part
    return fields


def _joined(numbers: str, pieces: dict[int, Piece]) -> str:
    return "".join(str(pieces[int(number)].text) for number in numbers.split(", "))


def by_number(*pieces: Piece) -> dict[int, Piece]:
    return {piece.no: piece for piece in pieces}


texts = st.text(max_size=30).flatmap(
    lambda text: st.integers(1, 60).map(lambda times: text * times)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.text(max_size=12).filter(lambda name: name not in (*GROUP.fields, UNSORTED))
fields = st.dictionaries(names, values, max_size=6)
person_fields = st.dictionaries(
    names.filter(lambda name: name not in GROUP.person_fields), values, max_size=4
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    people = {
        who: {"name": "N", "appearance": "A", "notes": draw(texts), **draw(person_fields)}
        for who in draw(st.sets(st.sampled_from(sorted(GROUP.people))))
    }
    strangers = draw(st.dictionaries(st.sampled_from(["ghost", "cat"]), values))
    notes = draw(st.lists(values, max_size=5))
    whole = {"members": {**people, **strangers}, "summary": "S", **draw(fields)}
    return {**whole, UNSORTED: notes} if notes else whole


@settings(deadline=None, max_examples=300)
@given(documents(), st.integers(60, 1500))
def test_what_stayed_and_what_was_kept_aside_is_what_the_npc_wrote(
    document: Document, limit: int
) -> None:
    small, pieces = with_room(document, limit, GROUP, Shelf(observed_at=NOON))

    assert document == restored(small, by_number(*pieces))
    assert len(render(small)) <= max(limit, 500)
    assert sorted(by_number(*pieces)) == list(range(1, len(pieces) + 1))


@settings(deadline=None, max_examples=200)
@given(documents(), st.integers(300, 1500))
def test_a_document_with_room_is_left_alone(document: Document, limit: int) -> None:
    small, pieces = with_room(document, limit, GROUP, Shelf())

    again = with_room(small, max(limit, len(render(small))), GROUP, Shelf(pieces))

    assert again == (small, ())


@settings(deadline=None, max_examples=200)
@given(documents(), st.lists(st.integers(60, 1500), min_size=2, max_size=4))
def test_cut_again_and_again_nothing_is_lost(document: Document, limits: list[int]) -> None:
    small, kept = document, Shelf()
    for limit in limits:
        small, pieces = with_room(small, limit, GROUP, kept)
        kept = Shelf((*kept.pieces, *pieces))

    assert document == restored(small, by_number(*kept.pieces))


def test_a_text_keeps_its_beginning_and_one_marker() -> None:
    diary = {"diary": "".join(f"day {n}. " for n in range(1000))}
    small, first = with_room(diary, 5000, STATUS, Shelf())

    smaller, second = with_room(small, 2000, STATUS, Shelf(first))

    text = smaller["diary"]
    rest = len(second[0].text) + len(first[0].text)
    assert text.startswith("day 0. day 1. ")
    assert text.endswith(f"… [{rest} more characters kept aside, no. 2, 1]")
    assert 1700 < len(text) < 1800


def test_a_text_that_comes_back_whole_gets_its_old_number() -> None:
    diary = {"diary": "d" * 6000}
    small, pieces = with_room(diary, 5000, STATUS, Shelf())

    again = with_room(diary, 5000, STATUS, Shelf(pieces))

    assert again == (small, ())


def test_the_largest_text_goes_first_and_small_ones_stay_whole() -> None:
    document = {"a": "a" * 300, "b": "b" * 3000, "c": {"d": "d" * 300}}

    small, [piece] = with_room(document, 2000, STATUS, Shelf())

    assert (small["a"], small["c"]) == (document["a"], document["c"])
    assert piece.where == ("b",)


def test_a_large_field_that_is_no_text_is_kept_aside_as_a_whole() -> None:
    trust = {"Alice": ["a" * 2000, 2**60], "Bob": None}
    document = {"trust": trust, "mood": "glum"}

    small, [piece] = with_room(document, 1000, STATUS, Shelf(observed_at=NOON))

    assert small == {"trust": "[kept aside, no. 1]", "mood": "glum"}
    assert piece == Piece(no=1, where=("trust",), text=trust, observed_at=NOON)


def test_a_thousand_small_fields_are_kept_aside_together() -> None:
    fields = {f"field {number}": number for number in range(1000)}

    small, [piece] = with_room({"current_location": "Inn", **fields}, 5000, STATUS, Shelf())

    assert small == {
        "current_location": "Inn",
        UNSORTED: ["[1000 fields kept aside, no. 1]"],
    }
    assert piece.text == fields


def test_a_number_that_an_npc_made_up_is_not_used_again() -> None:
    document = {"diary": "… [3 more characters kept aside, no. 41]" + "d" * 6000}

    small, [piece] = with_room(document, 5000, STATUS, Shelf())

    assert piece.no == 42
    assert orjson.loads(render(small)) == small
