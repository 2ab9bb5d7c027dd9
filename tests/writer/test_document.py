import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.writer.document import UNSORTED, Document, read, render, with_note

HUGE_NUMBER = "1" + "0" * 400


def test_an_object_is_read_as_itself() -> None:
    reading = read('{"members":{},"mood":"glum"}')

    assert reading.document == {"members": {}, "mood": "glum"}
    assert reading.exact


@pytest.mark.parametrize("nothing", ["", "   ", "\n\t"])
def test_nothing_is_an_empty_document(nothing: str) -> None:
    assert read(nothing).document == {}


def test_a_line_appended_by_a_memory_tool_becomes_a_note() -> None:
    reading = read('{"members":{}}\nBob owes me five coins')

    assert reading.document == {"members": {}, UNSORTED: ["Bob owes me five coins"]}
    assert not reading.exact


def test_lines_inserted_before_the_object_become_a_note() -> None:
    reading = read('Bob is {nice}\nreally\n{"members":{}}')

    assert reading.document == {"members": {}, UNSORTED: ["Bob is {nice}\nreally"]}


def test_a_note_joins_the_notes_already_there() -> None:
    assert read('{"unsorted_notes":["a"]}\nb').document == {UNSORTED: ["a", "b"]}
    assert read('{"unsorted_notes":"a"}\nb').document == {UNSORTED: ["a", "b"]}
    assert read('{"unsorted_notes":{"a":1}}\nb').document == {UNSORTED: [{"a": 1}, "b"]}


def test_a_note_is_not_kept_twice() -> None:
    assert with_note({UNSORTED: ["a"]}, "a") == {UNSORTED: ["a"]}
    assert with_note({UNSORTED: [1]}, True) == {UNSORTED: [1, True]}


@pytest.mark.parametrize(
    "text",
    [
        "The market is busy today.",
        '{"members": {"1001": {"notes": "she said "no", twice"}}}',
        '[{"name": "Alice"}]',
        '[\n{"name": "Alice"}\n]',
        '"a {text}"',
        "12",
        "null",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": -Infinity}',
        f'{{"a": {HUGE_NUMBER}}}',
        '{"a": 36893488147419103232}',
        '{"a": "\\ud800"}',
        '{"a":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_what_is_no_writable_object_is_kept_as_one_note(text: str) -> None:
    assert read(text).document == {UNSORTED: [text]}


def test_a_field_written_twice_loses_neither_value() -> None:
    document = read('{"notes":"first","mood":"glum","notes":"last"}').document

    assert document == {"notes (2)": "first", "mood": "glum", "notes": "last"}


@settings(deadline=None)
@given(st.text())
def test_no_text_is_lost_or_refused(text: str) -> None:
    document = read(text).document

    kept = render(document)
    assert not text.strip() or text.strip() in document.get(UNSORTED, []) or kept != "{}"
    assert read(kept).document == document


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_document_survives_writing_and_reading(document: Document) -> None:
    assert read(render(document)).document == document
    assert orjson.loads(render(document)) == document
