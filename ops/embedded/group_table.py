"""The table that `kafka-consumer-groups --describe` prints, of one group. Pure.

a row            where the group stands on a partition; a dash: nothing committed there
a row of dashes  a member without a partition, which says nothing of offsets
anything else    a TableError: names of groups, members and clients are other people's words,
                 and what is not understood is not guessed at
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

HEADER = (
    "GROUP",
    "TOPIC",
    "PARTITION",
    "CURRENT-OFFSET",
    "LOG-END-OFFSET",
    "LAG",
    "CONSUMER-ID",
    "HOST",
    "CLIENT-ID",
)
_OFFSET = r"(-|\d{1,19})"
_CELLS = re.compile(
    rf" +([A-Za-z0-9._-]+) +(-|\d{{1,10}}) +{_OFFSET} +{_OFFSET} +(-|-?\d{{1,19}}) +\S.*",
    re.ASCII,
)


class TableError(ValueError):
    """It is not the table that is expected; the text says why."""


class Row(NamedTuple):
    """A group on a partition, as the broker's own tool tells it."""

    topic: str
    partition: int
    committed: int | None
    end: int | None
    """None: the partition has no leader."""
    lag: int | None


def parse_table(text: str, group: str) -> list[Row]:
    """The rows of one group, in the order of the table. TableError."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return []
    _demand_header(lines[0])
    rows = [row for line in lines[1:] for row in _row(line, group)]
    if len({row[:2] for row in rows}) < len(rows):
        raise TableError("it tells a partition twice")
    return rows


def _demand_header(line: str) -> None:
    found = line.split()
    if "GROUP" not in found:
        raise TableError(f"it says {line.strip()[:200]!r}")
    for unexpected in [name for name in found if name not in HEADER]:
        raise TableError(f"it has an unexpected column {unexpected[:40]!r}")
    if tuple(found) != HEADER:
        raise TableError(f"its columns are not {', '.join(HEADER)}")


def _row(line: str, group: str) -> Iterator[Row]:
    cells = _CELLS.fullmatch(line.removeprefix(group))
    if not line.startswith(group) or cells is None:
        raise TableError(f"it has an unexpected line {line[:120]!r}")
    topic, partition, *numbers = cells.groups()
    if partition != "-":
        yield Row(topic, int(partition), *map(_number, numbers))


def _number(cell: str) -> int | None:
    return None if cell == "-" else int(cell)
