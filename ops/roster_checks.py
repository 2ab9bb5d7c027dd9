"""What makes a roster and its locations right. Pure: entries in, models and complaints out.

    each entry   required fields, no unknown ones, types, lengths, no control characters in ids
    all entries  ids and slugs once; each home_location exists; no two NPCs answer to one name

`Standing` is what the topics hold already: an entry of the files replaces the one that stands.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec

from ops.roster_files import ID_FIELDS, Complaint, Entry, Kind
from topics.decode import DecodeError, decode_location, decode_roster_entry
from topics.models import Location, RosterEntry
from topics.text import DESCRIPTION_LIMIT, NAME_LIMIT, clip, fold

_FIELDS: dict[Kind, tuple[str, ...]] = {
    "npcs": RosterEntry.__struct_fields__,
    "locations": Location.__struct_fields__,
}
_REQUIRED: dict[Kind, tuple[str, ...]] = {
    "npcs": ("npc_id", "name"),
    "locations": ("slug", "name", "coordinates"),
}
_NOUNS: dict[Kind, str] = {"npcs": "an NPC", "locations": "a location"}
_LIMITS = {"name": NAME_LIMIT, "display_name": NAME_LIMIT, "description": DESCRIPTION_LIMIT}
_COORDINATES = "coordinates must be three finite numbers, x, y and z."


@dataclass(frozen=True, slots=True)
class Standing:
    """What the topics hold, by id."""

    npcs: Mapping[str, RosterEntry] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)


@dataclass(slots=True)
class Checked:
    """The models of all right entries, by id, and everything that is wrong."""

    npcs: dict[str, RosterEntry] = field(default_factory=dict)
    locations: dict[str, Location] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)


def check(entries: Sequence[Entry], standing: Standing) -> Checked:
    """Everything that can be wrong with the entries, each alone and all together."""
    checked = Checked()
    for entry in entries:
        complaints = list(_wrong_fields(entry))
        model = None if complaints else _model(entry, complaints)
        checked.complaints += complaints
        match model:
            case RosterEntry():
                checked.npcs.setdefault(model.npc_id, model)
            case Location():
                checked.locations.setdefault(model.slug, model)
    together = (_repeated_ids(entries), _unknown_homes(entries, standing))
    checked.complaints += chain(*together, _shared_names(entries, standing))
    checked.complaints.sort()
    return checked


def _wrong_fields(entry: Entry) -> Iterator[Complaint]:
    known = _FIELDS[entry.kind]
    for name, cell in entry.cells.items():
        if name not in known:
            yield _complaint(entry, name, _unknown_field(name, entry.kind, known))
        elif name == "coordinates" and not _finite(cell.value):
            yield _complaint(entry, name, _COORDINATES)
        elif isinstance(cell.value, str) and len(cell.value) > _LIMITS.get(name, len(cell.value)):
            sentence = f"{name} has {len(cell.value)} characters, {_LIMITS[name]} are allowed."
            yield _complaint(entry, name, sentence)
    for name in _REQUIRED[entry.kind]:
        if name not in entry.cells or entry.cells[name].value in (None, ""):
            yield _complaint(entry, name, f"{_NOUNS[entry.kind]} needs a {name}.")


def _finite(value: Any) -> bool:
    """Whether all its numbers are finite: JSON, and so the topic, has no others."""
    parts = value.values() if isinstance(value, dict) else value
    if not isinstance(parts, Iterable):
        return False
    return not any(isinstance(part, float) and not math.isfinite(part) for part in parts)


def _unknown_field(name: str, kind: Kind, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
    return f"{_NOUNS[kind]} has no field {_quoted(name)}; {guess}"


def _model(entry: Entry, complaints: list[Complaint]) -> RosterEntry | Location | None:
    """The model by the same rules as a worker's, so that nothing is published that it refuses."""
    try:
        value = msgspec.json.encode({name: _wire(name, entry) for name in entry.cells})
        if entry.kind == "npcs":
            return decode_roster_entry(None, value)
        return decode_location(None, value)
    except DecodeError as error:
        name = str(error).partition(":")[0].partition("[")[0]
        complaints.append(_complaint(entry, name, _in_words(str(error), name)))
        return None


def _wire(name: str, entry: Entry) -> Any:
    cell = entry.cells[name]
    return cell.text if name in ID_FIELDS.values() and isinstance(cell.value, int) else cell.value


def _in_words(error: str, name: str) -> str:
    if "expected" not in error.lower():
        return error if error.endswith(".") else f"{error}."
    if name == "coordinates":
        return _COORDINATES
    if name == "enabled":
        return "enabled must be true or false."
    return f"{name} must be text; write it in quotes."


def _repeated_ids(entries: Iterable[Entry]) -> Iterator[Complaint]:
    first: dict[tuple[Kind, str], Entry] = {}
    for entry in entries:
        name = ID_FIELDS[entry.kind]
        identity = _text(entry, name)
        earlier = first.setdefault((entry.kind, identity), entry)
        if identity and earlier is not entry:
            where = f"{earlier.file}:{earlier.line_of(name)}"
            yield _complaint(
                entry, name, f"{name} {_quoted(identity)} was used before, in {where}."
            )


def _unknown_homes(entries: Sequence[Entry], standing: Standing) -> Iterator[Complaint]:
    slugs = {_text(entry, "slug") for entry in entries if entry.kind == "locations"}
    known = standing.locations.keys() | slugs
    for entry in entries:
        home = _text(entry, "home_location")
        if home and home not in known:
            close = difflib.get_close_matches(home, known, n=1)
            guess = f"; did you mean {close[0]}?" if close else "."
            sentence = f"there is no location {_quoted(home)}{guess}"
            yield _complaint(entry, "home_location", sentence)


def _shared_names(entries: Sequence[Entry], standing: Standing) -> Iterator[Complaint]:
    """The game calls NPCs by name: two that share one would be taken for each other."""
    npcs = [entry for entry in entries if entry.kind == "npcs"]
    replaced = {_text(entry, "npc_id") for entry in npcs}
    owners = {
        fold(name): npc_id
        for npc_id, npc in standing.npcs.items()
        for name in (npc.name, npc.display_name)
        if npc_id not in replaced
    }
    for entry in npcs:
        npc_id = _text(entry, "npc_id")
        for field_name in ("name", "display_name"):
            name = _text(entry, field_name)
            owner = owners.setdefault(fold(name), npc_id)
            if name and owner != npc_id:
                yield _complaint(entry, field_name, f"{owner} is also called {_quoted(name)}.")


def _text(entry: Entry, name: str) -> str:
    """A field as it was written; empty where it is missing or no text."""
    cell = entry.cells.get(name)
    return cell.text if cell and cell.value is not None else ""


def _quoted(text: str) -> str:
    return repr(clip(text, 80))


def orphans(npcs: Iterable[RosterEntry], slugs: Iterable[str]) -> list[str]:
    """A sentence for each NPC whose home would be gone with these locations."""
    gone = set(slugs)
    return [
        f"location {npc.home_location!r} is the home of {npc.npc_id} and cannot be removed."
        for npc in npcs
        if npc.home_location in gone
    ]


def _complaint(entry: Entry, name: str, sentence: str) -> Complaint:
    return Complaint(entry.file, entry.line_of(name), sentence)


def as_wire(model: RosterEntry | Location) -> dict[str, Any]:
    """The fields of an entry that say something."""
    fields = msgspec.to_builtins(model)
    return {name: value for name, value in fields.items() if value not in (None, "")}
