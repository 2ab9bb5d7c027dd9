"""Text that is nearly JSON is read, and what an NPC wrote into it is in the document."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.writer.document import UNSORTED, Document, read

PRETTY = json.dumps(
    {"members": {"1001": {"name": "Alice", "notes": "sings"}}, "plan": [1]}, indent=2
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': 'it\\'s', \"b\": [True, False, None]}", {"a": "it's", "b": [True, False, None]}),
        ("{'a': 'say \"hi\"'}", {"a": 'say "hi"'}),
        ('{"a": [1, 2, ], "b": {"c": 3,},}', {"a": [1, 2], "b": {"c": 3}}),
        ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}),
        ('{"a": "she said "hello"", "b": 1}', {"a": 'she said "hello"', "b": 1}),
        ('{"a": "True, or [None]", "b": True,}', {"a": "True, or [None]", "b": True}),
        ("{'a': 1}\nit's late", {"a": 1, UNSORTED: ["it's late"]}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n{'a': 1}\n```\nmore", {"a": 1, UNSORTED: ["more"]}),
        ('first\n```json\n{"a": 1}\n```', {"a": 1, UNSORTED: ["first"]}),
        ('1→ {"a":\n2→ 1}', {"a": 1}),
        ("  1→ {'a':\n 12→ 1}", {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_nearly_json_is_read(text: str, expected: Document) -> None:
    reading = read(text)

    assert (reading.document, reading.exact) == (expected, False)


@pytest.mark.parametrize(
    "text",
    [
        "{'a': 'never ends}",
        "{'a': 1",
        "{'a': (1, 2)}",
        "{'a': '\\x41'}",
        "{a: 1}",
        "1→ \n2→ ",
        '1→ {"a": 1\nno number',
        "```json\n```",
        '{"a": "x" y',
    ],
)
def test_anything_further_from_json_is_kept_as_one_note(text: str) -> None:
    assert read(text).document == {UNSORTED: [text.strip()]}


@pytest.mark.parametrize("line", range(1, PRETTY.count("\n") + 1))
def test_a_line_between_the_fields_is_taken_out_and_kept(line: int) -> None:
    lines = PRETTY.split("\n")
    text = "\n".join([*lines[:line], "Bob owes me a coin.", *lines[line:]])

    assert read(text).document == {**json.loads(PRETTY), UNSORTED: ["Bob owes me a coin."]}


@pytest.mark.parametrize(
    "text",
    ['{"name": "Al" is kind"ice", "notes": ""}', '{"name": ["x\ny"]}', '{"na"me": "Alice"}'],
)
def test_a_break_in_a_field_of_the_games_is_a_note_and_no_value(text: str) -> None:
    assert read(text, {"name"}).document == {UNSORTED: [text]}


names = st.text(max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(names, values, min_size=1, max_size=4))
def test_the_repr_of_any_document_is_that_document_or_kept_as_one_note(document: Any) -> None:
    text = repr(document)

    assert read(text).document in (document, {UNSORTED: [text]})


plain = st.text("abc'\" :,{}[]\n1TF", max_size=12)


@settings(deadline=None)
@given(st.dictionaries(plain, plain | st.lists(plain, max_size=2), min_size=1, max_size=4))
def test_the_repr_of_plain_text_is_read(document: Any) -> None:
    assert document == read(repr(document)).document
