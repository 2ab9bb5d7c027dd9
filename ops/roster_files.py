"""Roster and locations files to entries that know their lines. Says nothing about what is right.

    .yaml .yml .json   `npcs:` and `locations:`, or a bare list whose fields tell what it is
    .csv               the header tells: `npc_id` makes it a roster, `slug` makes it locations;
                       columns x, y, z or `coordinates`; separated by comma, semicolon or tab

A plain YAML value keeps its text as well as its type, so that an id like 007 stays what it looks
like. A file that cannot be read is a complaint, never an exception.
"""

import csv
import io
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

Kind = Literal["npcs", "locations"]
KINDS: tuple[Kind, ...] = ("npcs", "locations")
ID_FIELDS: dict[Kind, str] = {"npcs": "npc_id", "locations": "slug"}
SUFFIXES = (".yaml", ".yml", ".json", ".csv")

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of the largest file: a roster of 100,000 NPCs has a third of it."""

_DEPTH_LIMIT = 100
_SHORT_TAG = re.compile(r"tag:yaml\.org,2002:")
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, order=True, slots=True)
class Complaint:
    """What is wrong in which line."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and its line. `text`: how a scalar was written."""

    value: Any
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An NPC or a location as the file has it."""

    kind: Kind
    file: str
    line: int
    cells: dict[str, Cell]

    def line_of(self, name: str) -> int:
        """The line of a field, or of the whole entry where the field is missing."""
        cell = self.cells.get(name)
        return cell.line if cell else self.line


@dataclass(slots=True)
class Reading:
    """What is in a file. `kinds`: which sections it has, also empty ones."""

    file: str
    entries: list[Entry] = field(default_factory=list)
    kinds: set[Kind] = field(default_factory=set)
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, line: int, sentence: str) -> None:
        """Note that a line is wrong."""
        self.complaints.append(Complaint(self.file, line, sentence))


def read(path: Path) -> Reading:
    """The entries of a file, by its suffix. OSError where there is no such file."""
    reading = Reading(str(path))
    text = _text(path, reading)
    if text is None:
        return reading
    try:
        if path.suffix == ".csv":
            _read_csv(text, reading)
        else:
            _read_tree(text, path.suffix == ".json", reading)
    except RecursionError:
        reading.complain(1, "the file is nested too deeply.")
    return reading


def _text(path: Path, reading: Reading) -> str | None:
    with path.open("rb") as file:
        content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        reading.complain(1, f"the file is larger than {SIZE_LIMIT // 2**20} MiB.")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reading.complain(content.count(b"\n", 0, error.start) + 1, "the text is not UTF-8.")
        return None


# ---------------------------------------------------------------- YAML and JSON


@dataclass(frozen=True, slots=True)
class _Mapping:
    """`pairs` keep repeated keys."""

    line: int
    pairs: list[tuple[str, int, Any]]


@dataclass(frozen=True, slots=True)
class _List:
    line: int
    items: list[Any]


def _read_tree(text: str, is_json: bool, reading: Reading) -> None:
    try:
        tree = _JsonTree(text).root() if is_json else _yaml_tree(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        reading.complain(mark.line + 1 if mark else 1, f"this is not YAML: {reason}.")
        return
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        reading.complain(line, f"this is not JSON: {reason}.")
        return
    match tree:
        case _Mapping():
            _take_sections(tree, reading)
        case _List():
            _take_list(_kind_by_fields(tree), tree, reading)
        case _:
            reading.complain(1, "`npcs:` or `locations:` is expected here.")


def _take_sections(tree: _Mapping, reading: Reading) -> None:
    for name, line, node in tree.pairs:
        if name not in KINDS:
            reading.complain(line, f"unknown section {name[:80]!r}; npcs and locations are known.")
        elif name in reading.kinds:
            reading.complain(line, f"a second section {name}.")
        elif isinstance(node, _List):
            _take_list(name, node, reading)
        elif isinstance(node, Cell) and node.value is None:
            reading.kinds.add(name)
        else:
            reading.complain(line, f"{name} must be a list, each entry with a dash before it.")


def _kind_by_fields(tree: _List) -> Kind | None:
    names = {name for item in tree.items if isinstance(item, _Mapping) for name, _, _ in item.pairs}
    return next((kind for kind in KINDS if ID_FIELDS[kind] in names), None)


def _take_list(kind: Kind | None, tree: _List, reading: Reading) -> None:
    if kind is None:
        reading.complain(tree.line, "a list of neither NPCs (npc_id) nor locations (slug).")
        return
    reading.kinds.add(kind)
    for item in tree.items:
        if isinstance(item, _Mapping):
            cells = _cells(item, reading)
            reading.entries.append(Entry(kind, reading.file, item.line, cells))
        else:
            reading.complain(item.line, f"an entry of {kind} must have fields, name: value.")


def _cells(item: _Mapping, reading: Reading) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for name, line, node in item.pairs:
        if name in cells:
            reading.complain(line, f"{name[:80]} stands twice in this entry.")
        cells[name] = Cell(_plain(node), line, node.text if isinstance(node, Cell) else "")
    return cells


def _plain(node: Any) -> Any:
    """The value of a field. Only flat lists and mappings: nothing of ours is deeper."""
    match node:
        case Cell():
            return node.value
        case _List():
            return [_flat(item) for item in node.items]
        case _Mapping():
            return {name: _flat(value) for name, _, value in node.pairs}


def _flat(node: Any) -> Any:
    return node.value if isinstance(node, Cell) else []


def _yaml_tree(text: str) -> Any:
    # The C parser is ten times as fast and knows lines as well.
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _demand_flat(yaml.parse(text, Loader=kind))
    loader = kind(text)
    try:
        root = loader.get_single_node()
        return _yaml_node(root, loader, depth=0) if root else None
    finally:
        loader.dispose()


def _demand_flat(events: Iterable[yaml.Event]) -> None:
    """RecursionError for a text that would overflow the C parser's stack."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_LIMIT:
            raise RecursionError


def _yaml_node(node: yaml.Node, loader: Any, depth: int) -> Any:
    """Down to the fields of an entry and the items in them, so aliases cannot multiply."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return Cell(_yaml_scalar(node, loader), line, node.value)
    if depth > 3:
        return Cell([], line, "")
    if isinstance(node, yaml.MappingNode):
        return _Mapping(
            line,
            [
                (str(key.value), key.start_mark.line + 1, _yaml_node(value, loader, depth + 1))
                for key, value in node.value
            ],
        )
    return _List(line, [_yaml_node(item, loader, depth + 1) for item in node.value])


def _yaml_scalar(node: yaml.ScalarNode, loader: Any) -> Any:
    tag = _SHORT_TAG.sub("", node.tag)
    if tag not in ("bool", "int", "float", "null"):
        return node.value
    try:
        return loader.construct_object(node)
    except ValueError:
        return node.value


class _JsonTree:
    """A JSON text with lines. Raises ValueError, mostly JSONDecodeError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._decoder.decode(text)

    def root(self) -> Any:
        """The tree; the text is known to be JSON by now."""
        return self._node(self._after_space(0), depth=0)[0]

    def _node(self, at: int, depth: int) -> tuple[Any, int]:
        if self._text[at] == "{" and depth <= 3:
            return self._mapping(at, depth)
        if self._text[at] == "[" and depth <= 3:
            return self._list(at, depth)
        value, end = self._decoder.raw_decode(self._text, at)
        written = self._text[at:end]
        return Cell(value, self._line(at), value if isinstance(value, str) else written), end

    def _mapping(self, start: int, depth: int) -> tuple[_Mapping, int]:
        pairs: list[tuple[str, int, Any]] = []
        at = self._after_space(start + 1)
        while self._text[at] != "}":
            key, end = self._decoder.raw_decode(self._text, at)
            value_at = self._after_space(self._after_space(end) + 1)
            node, end = self._node(value_at, depth + 1)
            pairs.append((key, self._line(at), node))
            at = self._after_comma(end)
        return _Mapping(self._line(start), pairs), at + 1

    def _list(self, start: int, depth: int) -> tuple[_List, int]:
        items: list[Any] = []
        at = self._after_space(start + 1)
        while self._text[at] != "]":
            node, end = self._node(at, depth + 1)
            items.append(node)
            at = self._after_comma(end)
        return _List(self._line(start), items), at + 1

    def _after_comma(self, at: int) -> int:
        at = self._after_space(at)
        return self._after_space(at + 1) if self._text[at] == "," else at

    def _after_space(self, at: int) -> int:
        while self._text[at] in " \t\r\n":
            at += 1
        return at

    def _line(self, at: int) -> int:
        return bisect_right(self._line_starts, at)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


# ---------------------------------------------------------------- CSV


def _read_csv(text: str, reading: Reading) -> None:
    rows = _rows(text, reading)
    _, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    kind = next((kind for kind in KINDS if ID_FIELDS[kind] in names), None)
    if kind is None:
        reading.complain(1, "the header has neither npc_id (a roster) nor slug (locations).")
        return
    for name in sorted({name for name in names if names.count(name) > 1}):
        reading.complain(1, f"column {name[:80]!r} stands twice in the header.")
    reading.kinds.add(kind)
    for line, row in rows:
        if len(row) > len(names):
            reading.complain(line, f"{len(row)} values for {len(names)} columns.")
        else:
            reading.entries.append(_csv_entry(kind, reading.file, line, names, row))


def _rows(text: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it begins; empty lines are left out."""
    first_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        reading.complain(line, f"this is not CSV: {error}.")


def _csv_entry(kind: Kind, file: str, line: int, names: list[str], row: list[str]) -> Entry:
    texts = {name: text.strip() for name, text in zip(names, row, strict=False)}
    given = {name: text for name, text in texts.items() if text}
    if kind == "locations" and not given.keys().isdisjoint("xyz"):
        given["coordinates"] = " ".join(given.pop(axis, "?") for axis in "xyz")
    cells = {name: Cell(_csv_value(name, text), line, text) for name, text in given.items()}
    return Entry(kind, file, line, cells)


def _csv_value(name: str, text: str) -> Any:
    if name == "enabled":
        return _TRUTHS.get(text.casefold(), text)
    if name == "coordinates":
        return [_number(part) for part in re.split(r"[\s,;]+", text.strip("[]() "))]
    return text


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
