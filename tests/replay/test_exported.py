"""A stretch in a file is the stretch itself, and a wrong line is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.failure import Failure
from ops.replay import files
from ops.replay.exported import (
    Head,
    WrongStretchError,
    head_line,
    read_head,
    read_record,
    record_line,
)
from ops.replay.stored import Stored

numbers = st.integers(0, 2**63 - 1)
values = st.none() | st.binary(max_size=40) | st.text(max_size=40).map(str.encode)
records = st.builds(
    Stored,
    topic=st.sampled_from(["npc-snapshots", "world-snapshots"]),
    partition=numbers,
    offset=numbers,
    timestamp=numbers,
    key=values,
    value=values,
    headers=st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=9)), max_size=2).map(tuple),
)


@given(records)
def test_a_record_comes_back_byte_for_byte(record: Stored) -> None:
    assert record == read_record(record_line(record))


@given(st.binary(max_size=200))
def test_a_line_that_is_no_record_is_refused_and_nothing_else_happens(line: bytes) -> None:
    with pytest.raises(WrongStretchError):
        read_record(b"[" + line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"topic":"t","partition":-1,"offset":0,"timestamp":0}',
        b'{"topic":"t","partition":0,"offset":0,"timestamp":0,"value_base64":"?"}',
        b'{"topic":"t","partition":0,"offset":0,"timestamp":0,"value":"\\ud800"}',
        b'{"topic":"t","partition":0,"offset":0}',
    ],
)
def test_a_field_that_cannot_be_is_refused(line: bytes) -> None:
    with pytest.raises(WrongStretchError):
        read_record(line)


def test_the_first_line_comes_back() -> None:
    head = Head(rollcall_stretch=1, topic="t", since=1.5, settings={"mode": "cached"})

    assert head == read_head(head_line(head))


@pytest.mark.parametrize("line", [b"", b"{}", b'{"rollcall_stretch": 2, "topic": "t"}', b"\xff"])
def test_another_file_is_no_export(line: bytes) -> None:
    with pytest.raises(WrongStretchError):
        read_head(line)


def test_the_first_wrong_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bug.ndjson"
    good = record_line(Stored("npc-snapshots", 0, 0, 0, b"k", b"{}"))
    file.write_bytes(head_line(Head(rollcall_stretch=1, topic="npc-snapshots")) + good + b"{}\n")

    with pytest.raises(Failure, match=r"bug\.ndjson:3: "):
        list(files.read(file))


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "bug.ndjson"
    file.write_text("mine")

    with pytest.raises(Failure):
        files.write(file, Head(rollcall_stretch=1, topic="npc-snapshots"))

    assert "mine" == file.read_text()
