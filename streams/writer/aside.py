"""What an NPC wrote and its block has no room for is kept aside, with a marker in its place.

Where all of the game's that can be shortened has been, and the block is still too full:

    what there is                 becomes
    ----------------------------  ------------------------------------------------------------------
    a text of the NPC's           its beginning and `… [412 more characters kept aside, no. 3]`
    any other value of the NPC's  `[kept aside, no. 4]`
    many small fields             of each person in turn, then of the block: `[12 fields kept aside,
                                  no. 5]` among the notes

The largest go first, and texts keep a good beginning as long as that is enough. A tenth of the room
is made free beyond what is needed, so that the next line does not cut again. A marker is never cut:
a text is cut before it, and the two become one. What was taken out is a `Piece`: together with what
stayed it is what the NPC wrote, character by character. A text that was kept aside before and comes
back (an agent's tool writes old values back) gets its old number again.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from streams.writer.document import UNSORTED, Document, render

SLACK = 10
"""Of a limit, one part in so many is made free beyond what is needed."""

HEADS = (400, 80, 0)
"""Characters that stay of a text: the first that is enough for all."""

MEMBERS, NOTES = "members", "notes"

_CUT = re.compile(r"… \[(\d{1,9}) more characters kept aside, no\. (\d{1,9}(?:, \d{1,9})*)\]")
_MARKER = re.compile(rf"{_CUT.pattern}|\[(?:\d{{1,9}} fields )?kept aside, no\. \d{{1,9}}\]")
_NUMBER = re.compile(r"kept aside, no\. (\d{1,7}(?:, \d{1,7})*)\]")
# Two digits less: what an NPC makes up leaves room for numbers of ours.

Path = tuple[str | int, ...]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the NPC's that was taken out of a block for want of room."""

    no: int
    """As its marker calls it; one of a block's own."""
    where: tuple[str, ...] = ()
    """The path of the field it was taken from; of several fields, of what they were in."""
    text: Any = None
    """A part of a text, or the whole of what is none."""
    observed_at: float = 0.0
    """Seconds since the epoch: of the command that needed the room."""


class Shelf(NamedTuple):
    """What is kept aside already, and for which command more may be."""

    pieces: tuple[Piece, ...] = ()
    observed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Owned:
    """Which part of a document is the NPC's: all but this."""

    fields: Collection[str]
    """Of the document, the game's."""
    people: Collection[str] = ()
    """Ids of those whom the game named; of them it owns `person_fields`."""
    person_fields: Collection[str] = ()


def with_room(
    document: Document, limit: int, owned: Owned, shelf: Shelf
) -> tuple[Document, tuple[Piece, ...]]:
    """The document with enough kept aside, and the pieces.

    As much as can be, where that is not enough. Deterministic; a document that fits stays as it is.
    """
    room = _Room(document, limit, owned, shelf)
    for head in HEADS:
        if not room.is_enough:
            room.shorten(head)
    if not room.is_enough:
        room.clear()
    return room.document, tuple(room.taken)


class _Room:
    """A document on its way to becoming small enough."""

    def __init__(self, document: Document, limit: int, owned: Owned, shelf: Shelf) -> None:
        self.document: Document = _copied(document)
        self.taken: list[Piece] = []
        self._limit, self._owned, self._shelf = limit, owned, shelf
        self._target = limit - limit // SLACK
        self._is_begun = False
        self._next = 1 + max([0, *(piece.no for piece in shelf.pieces), *_numbers_in(document)])

    @property
    def _size(self) -> int:
        return len(render(self.document))

    @property
    def is_enough(self) -> bool:
        return self._size <= self._limit

    @property
    def _excess(self) -> int:
        """Once something has to be cut, a little more is."""
        size = self._size
        return size - self._target if self._is_begun or size > self._limit else 0

    # texts and single values

    def shorten(self, head: int) -> None:
        """Cuts texts down to so many characters, and takes larger values out, the largest first."""
        spots = sorted(self._spots(), key=lambda spot: -spot.size)
        for spot in spots:
            excess = self._excess
            if excess <= 0:
                return
            self._is_begun = True
            if isinstance(spot.value, str):
                self._cut(spot.path, spot.value, excess, head)
            elif spot.size > max(head, _len_of_marker(self._next)):
                self._put(spot.path, f"[kept aside, no. {self._take(spot.path, spot.value)}]")

    def _spots(self) -> Iterator["_Spot"]:
        for path, value in _npc_values(self.document, self._owned):
            size = _longest_run(value)[1] if isinstance(value, str) else len(_json(value))
            yield _Spot(path, value, size)

    def _cut(self, path: Path, text: str, excess: int, head: int) -> None:
        start, length = _longest_run(text)
        follower = _CUT.match(text, start + length)
        end = follower.end() if follower else start + length
        for stays in _heads(length, excess, head):
            run = text[start + stays : start + length]
            marker = self._marker(path, run, follower)
            if stays + len(marker) < end - start:
                self._take(path, run)
                self._put(path, text[: start + stays] + marker + text[end:])
                return

    def _marker(self, path: Path, run: str, follower: re.Match[str] | None) -> str:
        number, count = str(self._number(path, run)), len(run)
        if follower:
            count, number = count + int(follower[1]), f"{number}, {follower[2]}"
        return f"… [{count} more characters kept aside, no. {number}]"

    # many small fields

    def clear(self) -> None:
        """Takes out all that the NPC wrote about a person, largest first, and then all the rest."""
        named = [who for who in self._people() if who in self._owned.people]
        fields = {who: self._fields_of(who) for who in named}
        for who in sorted(named, key=lambda who: -len(_json(fields[who]))):
            if self._excess > 0:
                self._clear_person(who, fields[who])
        if self._excess > 0:
            self._clear_rest()

    def _people(self) -> Document:
        return _people_of(self.document, self._owned)

    def _fields_of(self, who: str) -> Document:
        entry = self.document[MEMBERS][who]
        return {k: v for k, v in entry.items() if k not in self._owned.person_fields}

    def _clear_person(self, who: str, fields: Document) -> None:
        marker = self._fields_marker((MEMBERS, who), fields)
        if len(_json(fields)) > len(_json({NOTES: marker})):
            self._take((MEMBERS, who), fields)
            entry = self.document[MEMBERS][who]
            game = {k: v for k, v in entry.items() if k in self._owned.person_fields}
            self.document[MEMBERS][who] = {**game, NOTES: marker}

    def _clear_rest(self) -> None:
        rest = {k: v for k, v in self.document.items() if k not in self._owned.fields}
        people = self._people()
        strangers = {who: e for who, e in people.items() if who not in self._owned.people}
        if strangers:
            rest = {**rest, MEMBERS: strangers}
        marker = self._fields_marker((), rest)
        if len(_json(rest)) > len(_json({UNSORTED: [marker]})):
            self._take((), rest)
            self.document = {k: v for k, v in self.document.items() if k in self._owned.fields}
            if strangers:
                known = {who: entry for who, entry in people.items() if who not in strangers}
                self.document[MEMBERS] = known
            self.document[UNSORTED] = [marker]

    def _fields_marker(self, path: Path, fields: Document) -> str:
        return f"[{len(fields)} fields kept aside, no. {self._number(path, fields)}]"

    # pieces

    def _take(self, path: Path, value: object) -> int:
        number = self._number(path, value)
        if number == self._next:
            where, at = _where(path), self._shelf.observed_at
            self.taken.append(Piece(no=number, where=where, text=value, observed_at=at))
            self._next += 1
        return number

    def _number(self, path: Path, value: object) -> int:
        """The number of a piece that is there already, or the next."""
        where, said = _where(path), _json(value)
        for piece in self._shelf.pieces:
            if piece.where == where and _json(piece.text) == said:
                return piece.no
        return self._next

    def _put(self, path: Path, value: str) -> None:
        inner: Any = self.document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value


class _Spot(NamedTuple):
    path: Path
    value: Any
    size: int


def _npc_values(document: Document, owned: Owned) -> Iterator[tuple[Path, Any]]:
    """Each value that is the NPC's, down to the fields of each person."""
    for name, value in document.items():
        if name not in owned.fields:
            yield from _single((name,), value)
    for who, entry in _people_of(document, owned).items():
        game = owned.person_fields if who in owned.people else ()
        if not isinstance(entry, dict):
            yield (MEMBERS, who), entry
            continue
        for name, value in entry.items():
            if name not in game:
                yield (MEMBERS, who, name), value


def _single(path: Path, value: Any) -> Iterable[tuple[Path, Any]]:
    """A list of notes is looked at note by note."""
    if path == (UNSORTED,) and isinstance(value, list):
        return [((*path, number), note) for number, note in enumerate(value)]
    return [(path, value)]


def _people_of(document: Document, owned: Owned) -> Document:
    """The members, of a document that has them."""
    people = document.get(MEMBERS) if MEMBERS in owned.fields else None
    return people if isinstance(people, dict) else {}


def _longest_run(text: str) -> tuple[int, int]:
    """Start and length of the longest stretch of a text without a marker; the last of equals."""
    best, start = (0, 0), 0
    for marker in [*_MARKER.finditer(text), None]:
        end = marker.start() if marker else len(text)
        if end - start >= best[1]:
            best = (start, end - start)
        start = marker.end() if marker else end
    return best


def _heads(length: int, excess: int, head: int) -> Iterator[int]:
    """How much may stay of a text: what is enough, if it is not less than the head; the head."""
    enough = length - excess - _len_of_marker(10**6)
    if enough > head:
        yield enough
    if head < length:
        yield head


def _len_of_marker(number: int) -> int:
    return len(f"… [{number} more characters kept aside, no. {number}]")


def _numbers_in(document: Document) -> Iterator[int]:
    for found in _NUMBER.finditer(render(document)):
        yield from map(int, found[1].split(", "))


def _where(path: Path) -> tuple[str, ...]:
    return tuple(str(step) for step in path if isinstance(step, str))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _copied(value: Any) -> Any:
    """The same, to be changed in place."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
