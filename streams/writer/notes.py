"""What an NPC noted and its block does not hold: kept in the Table `notes`, a value a block.

A block holds what is about those who are here. The rest, notes on absent players and pieces that do
not fit, stands in the Table. A write of a block and one of the Table cannot be one step, so the
block's metadata, which changes in one step with its value, says how the Table differs from what
counts: `absent` and `aside` are on their way to it, `given_back` has come back into the block.

    step                                          a crash after it leaves
    --------------------------------------------  --------------------------------------------------
    a. render, from the value, the metadata and   nothing
       the Table without what was given back
    b. PATCH: value, and in the metadata how the  the note in the metadata; of one that came back
       Table differs from now on                  a copy in the Table that does not count
    c. what the Table lacks is written to it      the note in the Table, and still in the metadata
    d. the next PATCH leaves out what the Table   nothing
       has
    e. what was given back some time ago goes     nothing
       from the Table too

What is found undone of c and e is done with the next command, whether or not it has to write. Two
accounts of the same person are united, never chosen from.

Why e waits: a PATCH that was made from an older read may land after ours and undo it, and then the
Table's copy counts again. Two writers may overlap, one of them with a Table that is old and not
knowing it; so the stamp tells which version of the Table its writer knew, and who that was:

    this worker                            the metadata gets      the Table
    -------------------------------------  ---------------------  ----------------------------------
    holds the partition, has written the   how the Table differs  is written where it differs
    block, and no younger worker has
    holds it, and has not written yet      all that counts        is written with the next PATCH: an
                                                                  older worker may write it as well
    has a younger one's stamp before it    all that counts        is left alone: it is the other's
    has another version than the stamp     all that counts        is left alone: it would be undone
    does not hold the partition            all that counts        is left alone
    cannot read the value                  all that counts        is left alone, as it is

Not covered: a writer that lost its partition and is held up, between its PATCH and its write of the
Table, for longer than another needs for two commands of the same NPC and then ends.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import msgspec
import orjson

from streams.writer.aside import Piece
from streams.writer.document import Document
from streams.writer.merge import Rendered, united
from streams.writer.stamp import Receipt, Stamp

GRACE = 60.0
"""Seconds after which no request to Letta that began before can still take effect."""


class UnreadableError(ValueError):
    """A Table value that is not one of ours, or one of a later program with fields more."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Table's value for one block. The default is that of a block without any."""

    version: int = 0
    """One more with each write: a worker whose Table is not the newest knows it by this."""
    by: str = ""
    """The worker that wrote it."""
    absent: dict[str, Document] = {}
    """What the NPC wrote about those who are not here, by id."""
    aside: tuple[Piece, ...] = ()
    """What did not fit into the block, oldest first."""


NOTHING = Kept()


def dump(kept: Kept) -> bytes:
    """The Table value: JSON."""
    return json.dumps(msgspec.to_builtins(kept), separators=(",", ":")).encode()


def load(value: bytes | None) -> Kept:
    """What stands in a Table value; None is nothing. Raises UnreadableError."""
    if value is None:
        return NOTHING
    try:
        return msgspec.convert(json.loads(value), Kept)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UnreadableError(f"{len(value)} bytes that are no notes of ours") from error


class Place(NamedTuple):
    """Which block of which NPC."""

    npc_id: str
    label: str


class Change(NamedTuple):
    """A change of what the Table has of a block: made of what it has then, not of what it had."""

    absent: Mapping[str, Document] = {}
    """Takes the place of what is there."""
    aside: tuple[Piece, ...] = ()
    """Joins what is there."""
    gone: frozenset[str] = frozenset()
    """Ids in `absent` of the Table that need not be there any more."""
    keeper: str = ""
    """The worker it is for."""

    def of(self, kept: Kept) -> Kept:
        """What the Table shall have."""
        stays = {who: part for who, part in kept.absent.items() if who not in self.gone}
        return Kept(
            version=kept.version + 1,
            by=self.keeper,
            absent={**stays, **self.absent},
            aside=united_pieces(kept.aside, self.aside),
        )


class NotesStore(Protocol):
    """The Table `notes` as the reconciler sees it."""

    @property
    def keeper(self) -> str:
        """Names this worker since it was given its partitions; greater than any before it."""
        ...

    def of(self, place: Place) -> Kept | None:
        """What this worker's Table has; None where that is not this worker's to write."""
        ...

    async def keep(self, place: Place, change: Change) -> None:
        """Changes the value: durable once it returns. Whatever it raises, the same again."""
        ...


class NoTable:
    """Everything stays in the metadata of the block."""

    keeper = ""

    def of(self, place: Place) -> Kept | None:  # noqa: ARG002 - there is none for any
        """There is no Table."""
        return None

    async def keep(self, place: Place, change: Change) -> None:
        """Never asked for: `of` says that nothing is ours to write."""
        raise AssertionError(f"nothing keeps {change} of {place}")


class NotesInMemory:
    """A Table that lasts as long as the object, for whoever has no Kafka."""

    def __init__(self, keeper: str = "memory") -> None:
        self.keeper = keeper
        self.values: dict[Place, bytes] = {}

    def of(self, place: Place) -> Kept | None:
        """What was kept last."""
        return load(self.values.get(place))

    async def keep(self, place: Place, change: Change) -> None:
        """Kept as bytes, as Kafka would."""
        self.values[place] = dump(change.of(load(self.values.get(place))))


@dataclass(frozen=True, slots=True)
class Custody:
    """Who holds which of an NPC's notes, as one read of a block found them."""

    stamp: Stamp
    """As read."""
    kept: Kept = NOTHING
    keeper: str = ""
    may_keep: bool = False
    """The Table is this worker's to write, and it is the one the stamp was made with, or newer."""
    now: float = 0.0
    """Seconds since the epoch."""

    @property
    def recalled(self) -> Stamp:
        """The stamp with the Table's notes beside its own: what a block is rendered with."""
        if not (self.kept.absent or self.kept.aside or self.stamp.absent):
            return self.stamp
        counting = {
            who: part for who, part in self.kept.absent.items() if who not in self.stamp.given_back
        }
        return msgspec.structs.replace(
            self.stamp,
            absent=united_notes(self.stamp.absent, counting),
            aside=united_pieces(self.kept.aside, self.stamp.aside),
        )

    @property
    def receipt(self) -> Receipt:
        """What the next stamp tells of the Table."""
        table = (self.kept.version, self.kept.by) if self.may_keep else self.stamp.table
        return Receipt(table, max(self.keeper, self.stamp.keeper), self.now)

    def in_transit(self, wanted: Rendered) -> Rendered:
        """The same, with nothing beside the value but how the Table differs from what counts."""
        if not self._is_trusted:
            return replace(wanted, given_back=self._given_back_untrusted(wanted))
        lacking = self._lacking(wanted)
        given_back = (who for who in self.kept.absent if who in lacking or who not in wanted.absent)
        return replace(
            wanted,
            absent=lacking,
            aside=self._new_pieces(wanted),
            given_back=tuple(given_back),
        )

    def to_keep(self, wanted: Rendered, *, is_written: bool) -> Change | None:
        """What the Table lacks after the block was written, or found as it shall be.

        None where it lacks nothing, or is not to be written.
        """
        change = Change(
            self._lacking(wanted),
            self._new_pieces(wanted),
            self._outlived(wanted),
            self.keeper,
        )
        is_doubtful = is_written and self.kept.version > 0 and self.stamp.keeper != self.keeper
        is_due = is_doubtful or bool(change.absent or change.aside or change.gone)
        return change if self.may_keep and is_due else None

    @property
    def _is_trusted(self) -> bool:
        return self.may_keep and self.stamp.keeper == self.keeper

    def _lacking(self, wanted: Rendered) -> dict[str, Document]:
        known = self.kept.absent
        return {
            who: part
            for who, part in wanted.absent.items()
            if who not in known or not is_same(part, known[who])
        }

    def _new_pieces(self, wanted: Rendered) -> tuple[Piece, ...]:
        known = set(map(_text_of, self.kept.aside))
        return tuple(piece for piece in wanted.aside if _text_of(piece) not in known)

    def _outlived(self, wanted: Rendered) -> frozenset[str]:
        """Given back by a PATCH so old that none before it can still land."""
        is_old = self.now - self.stamp.written_at >= GRACE
        gone = (who for who in self.stamp.given_back if who not in wanted.absent)
        return frozenset(self.kept.absent).intersection(gone) if is_old else frozenset()

    def _given_back_untrusted(self, wanted: Rendered) -> tuple[str, ...]:
        """What did not count before, and what this worker has seen in the Table and given back.

        Not what was on its way there: the Table of another may have more on the same person.
        """
        seen = self.kept.absent if self.may_keep else {}
        back = (who for who in seen if who not in wanted.absent)
        return tuple(dict.fromkeys((*self.stamp.given_back, *back)))


def custody_of(place: Place, stamp: Stamp, store: NotesStore, now: float) -> Custody:
    """What stands where; the rules stand above. `now`: seconds since the epoch."""
    found, keeper = store.of(place), store.keeper
    kept = found or NOTHING
    is_known = kept.version > stamp.table[0] or (kept.version, kept.by) == stamp.table
    may_keep = found is not None and is_known and keeper >= stamp.keeper
    return Custody(stamp, kept, keeper, may_keep, now)


# -- two accounts become one -----------------------------------------------------------------------


def united_notes(*accounts: Mapping[str, Document]) -> dict[str, Document]:
    """All that was noted about each, wherever it was found."""
    whole: dict[str, Document] = {}
    for account in accounts:
        for who, found in account.items():
            part = writable(found)
            whole[who] = united([whole[who], part]) if who in whole else part
    return whole


def united_pieces(*accounts: Iterable[Piece]) -> tuple[Piece, ...]:
    """All pieces, each once."""
    pieces = {_text_of(piece): piece for account in accounts for piece in account}
    return tuple(pieces.values())


def writable(part: Document) -> Document:
    """The same where it can be written into a block; else as a note with its JSON.

    A number beyond 64 bits, or half a surrogate pair, comes from nobody's block: somebody else has
    changed the metadata.
    """
    try:
        orjson.dumps(part)
    except TypeError:
        return {"notes": json.dumps(part)}
    return part


def is_same(one: object, other: object) -> bool:
    """Whether two accounts say the same, whatever the order of fields: `True` is not `1`."""
    return one == other and _json(one) == _json(other)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _text_of(piece: Piece) -> str:
    return _json(msgspec.to_builtins(piece))
