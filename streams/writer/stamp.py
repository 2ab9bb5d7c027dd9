"""What we note about our own writes, in the block's metadata under the key `rollcall`.

Letta has no compare-and-swap, no version and no history, but it keeps a block's metadata: it goes
in the same request as the value, changes no prompt, and survives an agent's write-back of old
values. The stamp answers: who wrote this value, from which record, and what had the game said?

A command is outdated when an older one must not overwrite what stands there:

    the command's record, beside the stamp's            outdated when
    --------------------------------------------------  --------------------------------------------
    same partition, same offset (profile ticks)         lower on the command topic: the filter said
                                                        something else of this record later
    seen at the same moment, whichever record           the same: two filters may hand over while
                                                        one of them goes by an older record
    same partition, higher offset                       never
    same partition, lower offset                        not observed later either; a lower offset
                                                        seen later means the topic was made anew
    another partition                                   observed earlier
    no stamp                                            never
"""

from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import orjson

from streams.writer.aside import Piece
from streams.writer.document import Document
from streams.writer.merge import Rendered
from topics.models import UpdateCommand

KEY = "rollcall"
VERSION = 1
_HASH_LENGTH = 32
_REPLACED_LIMIT = 12
_FACTS_LIMIT = 1024


UNKNOWN = -1
"""The offset of a command whose place on the command topic nobody noted; it decides nothing."""


class Mark(NamedTuple):
    """A place in the history of an NPC: of the record, and of the command made from it."""

    partition: int
    offset: int
    observed_at: float
    command_offset: int = UNKNOWN
    """Of the command on its own topic: several may be made from one record."""


class Receipt(NamedTuple):
    """What the writer of a block knew of the Table `notes`; see `notes`."""

    table: tuple[int, str] = (0, "")
    keeper: str = ""
    written_at: float = 0.0
    """Seconds since the epoch."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Our note in a block's metadata. The default is that of a block we never wrote."""

    v: int = VERSION
    hash: str = ""
    """Of the value we wrote, so that anybody's later edit shows."""
    partition: int = -1
    offset: int = -1
    command_offset: int = UNKNOWN
    observed_at: float = 0.0
    """Seconds since the epoch: when the game saw what the value says."""
    base: dict[str, Any] | None = None
    """The game's part of the value; None: never written by us."""
    absent: dict[str, Document] = {}
    """What the NPC wrote about those who are not here, by id, until the Table `notes` has it."""
    aside: tuple[Piece, ...] = ()
    """What did not fit into the block, until the Table `notes` has it."""
    given_back: tuple[str, ...] = ()
    """Ids whose notes in the Table `notes` do not count: they are in the block, or in `absent`."""
    table: tuple[int, str] = (0, "")
    """Version of the Table's value that the writer knew, and the worker that wrote that."""
    keeper: str = ""
    """The youngest worker with a Table that wrote the block; "" for none. Younger is greater."""
    written_at: float = 0.0
    """Seconds since the epoch, by the writer's clock."""
    kept: dict[str, str] = {}
    """Facts that stand otherwise than the game says, as `conflict_policy` has it; see `blame`."""
    before: tuple[dict[str, str], ...] = ()
    """The game's part of what our last writes replaced, newest last; see `blame`."""
    own: dict[str, Any] = {}
    """The NPC's part of the value, for when a write-back takes some of it; see `recall`."""
    replaced: tuple[str, ...] = ()
    """Hashes of the texts that our last writes replaced, newest last; see `recall`."""
    gone: tuple[str, ...] = ()
    """Ids we wrote once and took out, newest last: an agent's write-back may bring them back."""


UNSTAMPED = Stamp()


def read_stamp(metadata: Document) -> Stamp:
    """The stamp in a block's metadata. From a damaged one what can be read; notes above all."""
    noted = metadata.get(KEY)
    if not isinstance(noted, dict):
        return UNSTAMPED
    try:
        return _bounded(msgspec.convert(noted, Stamp))
    except msgspec.ValidationError:
        aside = _salvaged_pieces(noted.get("aside"))
        return Stamp(absent=_salvaged(noted.get("absent")), aside=aside)


def stamped(
    metadata: Document, rendered: Rendered, mark: Mark, receipt: Receipt | None = None
) -> Document:
    """The metadata for a block about to be written: our key anew, everybody else's kept."""
    receipt = receipt or _receipt_of(read_stamp(metadata))
    stamp = Stamp(
        hash=hash_of(rendered.value),
        **mark._asdict(),
        base=rendered.base,
        absent=rendered.absent,
        aside=rendered.aside,
        table=receipt.table,
        keeper=receipt.keeper,
        written_at=receipt.written_at,
        given_back=rendered.given_back,
        kept=rendered.kept,
        before=rendered.before,
        own=rendered.own,
        replaced=rendered.replaced,
        gone=rendered.gone,
    )
    return {**metadata, KEY: msgspec.to_builtins(stamp)}


def _receipt_of(stamp: Stamp) -> Receipt:
    return Receipt(stamp.table, stamp.keeper, stamp.written_at)


def marked(metadata: Document, mark: Mark) -> Document:
    """The metadata of a block whose value a newer command found to be right."""
    return {**metadata, KEY: {**metadata[KEY], **mark._asdict()}}


def is_outdated(mark: Mark, stamp: Stamp) -> bool:
    """Whether the block holds something newer than this; the rules stand above."""
    standing = Mark(stamp.partition, stamp.offset, stamp.observed_at, stamp.command_offset)
    return stamp.base is not None and is_before(mark, standing)


def mark_of(command: UpdateCommand, command_offset: int = UNKNOWN) -> Mark:
    """Where a command stands among others for the same NPC."""
    source = command.source
    return Mark(source.partition, source.offset, command.observed_at, command_offset)


def is_before(mark: Mark, other: Mark) -> bool:
    """Whether one command is older than the other; the rules stand above."""
    if mark.observed_at > other.observed_at:
        return False
    if mark.observed_at == other.observed_at and UNKNOWN not in (
        mark.command_offset,
        other.command_offset,
    ):
        return mark.command_offset < other.command_offset
    if mark.partition != other.partition:
        return mark.observed_at < other.observed_at
    if mark.offset != other.offset:
        return mark.offset < other.offset
    return UNKNOWN < mark.command_offset < other.command_offset


def is_replaced(value: str, stamp: Stamp) -> bool:
    """Whether the value is one that an earlier write of ours replaced: only a write-back has it."""
    found = hash_of(value)
    return found != stamp.hash and found in stamp.replaced


def with_replaced(value: str, stamp: Stamp) -> tuple[str, ...]:
    """The texts replaced once this one will have been, too, and our own before it."""
    texts = (*stamp.replaced, stamp.hash, hash_of(value))
    return tuple(dict.fromkeys(filter(None, texts)))[-_REPLACED_LIMIT:]


def is_edited(value: str, stamp: Stamp) -> bool:
    """Whether somebody changed the value since we wrote it."""
    return stamp.base is not None and hash_of(value) != stamp.hash


def hash_of(value: str) -> str:
    """A short digest of a block's value."""
    return sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


def _bounded(stamp: Stamp) -> Stamp:
    """No more of each memory than we write ourselves: anybody may have written this."""
    return msgspec.structs.replace(
        stamp,
        before=tuple(v for v in stamp.before[-_REPLACED_LIMIT:] if len(v) <= _FACTS_LIMIT),
        replaced=stamp.replaced[-_REPLACED_LIMIT:],
        gone=stamp.gone[-_FACTS_LIMIT:],
        own=stamp.own if _is_writable(stamp.own) else {},
    )


def _is_writable(own: Document) -> bool:
    try:
        orjson.dumps(own)
    except TypeError:
        return False
    return True


def _salvaged(absent: object) -> dict[str, Document]:
    if not isinstance(absent, dict):
        return {}
    return {
        str(who): part if isinstance(part, dict) else {"notes": part}
        for who, part in absent.items()
    }


def _salvaged_pieces(aside: object) -> tuple[Piece, ...]:
    return tuple(map(_salvaged_piece, aside)) if isinstance(aside, list) else ()


def _salvaged_piece(found: object) -> Piece:
    try:
        return msgspec.convert(found, Piece)
    except msgspec.ValidationError:
        return Piece(no=0, text=found)
