"""A dead letter, the mark that it was requeued, what became of it, and which are meant. Pure.

Both stand on the topic `dead-letters`. What tells them apart is the header MARK, which names the
letter; a mark has the letter's key, no value, and comes after the letter in the same partition.

    id     `<partition>-<offset>` of the letter on `dead-letters`; it never changes
    time   when it failed, by its header; by its record where the header is missing
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Self

from topics.dead_letter import DeadLetter, Headers, parse_headers

REQUEUED_FROM: Final = "rollcall-requeued-from"
"""Header of a requeued record: the id of the dead letter it was."""

MARK: Final = "rollcall-requeued"
"""Header that makes a record of `dead-letters` a mark: the id of the letter it is about."""

MARK_TO: Final = "rollcall-requeued-to"
"""Where the requeued record stands: `<topic>/<partition>/<offset>`."""

MARK_EDITED: Final = "rollcall-requeued-edited"
"""Whether somebody changed the value: `yes` or `no`."""

_ID = re.compile(r"(\d{1,9})-(\d{1,18})", re.ASCII)


class LetterId(NamedTuple):
    """Where a dead letter stands on `dead-letters`. Ids of a partition sort by age."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError for anything but `<partition>-<offset>`."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is no id of a dead letter, <partition>-<offset>")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Mark:
    """That a letter was requeued. `to`: where its record stands; `at`: seconds since the epoch."""

    letter: LetterId
    to: str
    at: float
    edited: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that a stage gave up. `timestamp`: the dead letter's own, in seconds."""

    id: LetterId
    timestamp: float
    key: bytes | None
    value: bytes | None
    size: int
    """Bytes of the value; it stays when the value is let go."""
    why: DeadLetter
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def at(self) -> float:
        """When it failed, in seconds since the epoch."""
        return self.timestamp if self.why.failed_at is None else self.why.failed_at


class Fate(StrEnum):
    """What became of a letter."""

    SENT = "sent"
    WOULD_SEND = "would send"
    MARKED = "requeued before"
    REFUSED = "refused"
    UNCHANGED = "not edited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """One letter's fate; `details`: where it stands now, or why not."""

    letter: Letter
    fate: Fate
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which letters are meant; None is any. Times in seconds, `until` itself is left out."""

    stage: str | None = None
    topic: str | None = None
    """With or without the prefix."""
    key: str | None = None
    since: float | None = None
    until: float | None = None
    prefix: str = ""

    def __contains__(self, letter: object) -> bool:
        return isinstance(letter, Letter) and (
            self.stage in (None, letter.why.stage)
            and self.topic in (None, letter.why.topic, letter.why.topic.removeprefix(self.prefix))
            and (self.key is None or self.key.encode(errors="surrogateescape") == letter.key)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


def read(
    where: LetterId,
    timestamp: float,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> Letter | Mark | None:
    """What a record of `dead-letters` is; None for a mark that names no letter."""
    texts = {name: (text or b"").decode(errors="replace") for name, text in headers}
    if MARK not in texts:
        why, size = parse_headers(headers), len(value or b"")
        return Letter(where, timestamp, key, value, size, why, tuple(headers))
    return _mark(texts, timestamp)


def _mark(texts: Mapping[str, str], at: float) -> Mark | None:
    try:
        letter = LetterId.parse(texts[MARK])
    except ValueError:
        return None
    return Mark(letter, texts.get(MARK_TO, ""), at, texts.get(MARK_EDITED) == "yes")


def mark_headers(letter: LetterId, to: str, edited: bool) -> Headers:
    """The headers of the mark of a letter; its time is the record's own."""
    texts = {MARK: str(letter), MARK_TO: to, MARK_EDITED: "yes" if edited else "no"}
    return [(name, text.encode()) for name, text in texts.items()]
