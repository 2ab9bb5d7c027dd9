"""Stretches in files: written line by line, read line by line, wrong lines named."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ops.failure import Failure
from ops.replay.exported import (
    LINE_LIMIT,
    Head,
    WrongStretchError,
    head_line,
    read_head,
    read_record,
    record_line,
)
from ops.replay.stored import Stored


def write(file: Path, head: Head) -> BinaryIO:
    """A new file with its first line, open for records. A Failure where it is there already."""
    try:
        target = file.open("xb")
    except FileExistsError:
        raise Failure(f"{file} is there already; nothing was written.") from None
    target.write(head_line(head))
    return target


def add(target: BinaryIO, records: Iterable[Stored]) -> int:
    """Writes records; how many."""
    lines = [record_line(record) for record in records]
    target.writelines(lines)
    return len(lines)


def head_of(file: Path) -> Head:
    """The first line. A Failure where the file is no export."""
    with file.open("rb") as source:
        try:
            return read_head(source.readline(LINE_LIMIT))
        except WrongStretchError as error:
            raise Failure(f"{file}:1: {error}.") from None


def read(file: Path) -> Iterator[Stored]:
    """The records of a file, as they stand there. A Failure names the first wrong line."""
    with file.open("rb") as source:
        source.readline(LINE_LIMIT)
        for number, line in enumerate(iter(lambda: source.readline(LINE_LIMIT + 1), b""), 2):
            try:
                yield read_record(line)
            except WrongStretchError as error:
                raise Failure(f"{file}:{number}: {error}.") from None
