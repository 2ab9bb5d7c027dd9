"""Whether a dead letter can go back, where to, and as of when. Pure but for the settings given.

    refused                                      because
    a topic not of the catalogue or the prefix   headers are foreign: nothing else is written to
    `dead-letters` itself                        it would be a letter about a letter
    what the topic's reader cannot decode        it would be a dead letter again
    older than another record of its key, on a   there the last record counts: it would undo the
    compacted topic                              newer one

`force` lifts the last two. A requeued record keeps its letter's time, not the time of requeueing: a
snapshot without `observed_at` is dated by its record, and would pass for news. The filter takes it
as outdated where it knows of something newer. It is never dated so far back that the topic's
retention might delete it before it is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.dead_letters.letter import Letter
from topics.catalogue import (
    BY_NAME,
    DEAD_LETTERS,
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    NPC_VERIFY_REQUESTS,
    PLAYER_PROFILES,
    WORLD_SNAPSHOTS,
    Cleanup,
    Topic,
)
from topics.decode import (
    DecodeError,
    decode_command,
    decode_key,
    decode_location,
    decode_profile,
    decode_result,
    decode_roster_entry,
    decode_snapshot,
    decode_verify_request,
    decode_world,
)


class RefusedError(ValueError):
    """A letter that is not sent; the message is the reason, without the letter's id."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What would be sent: `timestamp` in seconds; `partition` None lets the key decide."""

    letter: Letter
    topic: str
    partition: int | None
    value: bytes | None
    timestamp: float

    @property
    def edited(self) -> bool:
        """Whether the value is not the letter's any more."""
        return self.value != self.letter.value

    @property
    def lane(self) -> tuple[str, bytes | int | None]:
        """What the record must keep its place in: its key, or its partition without one."""
        return self.topic, self.partition if self.letter.key is None else self.letter.key


def target(letter: Letter, prefix: str) -> Topic:
    """The topic a letter came from. RefusedError for one that is not ours to write to."""
    name = letter.why.topic
    if not name:
        raise RefusedError("its headers name no topic")
    topic = BY_NAME.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if topic is None:
        suffix = f" with the prefix {prefix!r}" if prefix else ""
        raise RefusedError(f"{name[:80]!r} is no topic of the catalogue{suffix}")
    if topic.name == DEAD_LETTERS:
        raise RefusedError("it came from dead-letters itself")
    return topic


def attempt(letter: Letter, topic: Topic, value: bytes | None, now: float) -> Attempt:
    """The record to send for a letter. Without a key it goes to the partition it came from."""
    oldest = now - topic.retention / 2 if topic.retention else 0.0
    return Attempt(
        letter=letter,
        topic=letter.why.topic,
        partition=letter.why.partition if letter.key is None else None,
        value=value,
        timestamp=min(now, max(letter.at, oldest)),
    )


def demand_readable(attempt: Attempt, topic: Topic, max_clock_ahead: float) -> None:
    """RefusedError where the topic's reader would refuse the record (again)."""
    try:
        _READERS[topic.name](attempt, max_clock_ahead)
    except DecodeError as error:
        raise RefusedError(f"it would be a dead letter again: {error}") from None


def _snapshot(attempt: Attempt, max_clock_ahead: float) -> None:
    if attempt.value is None:
        return
    snapshot = decode_snapshot(attempt.letter.key, attempt.value, attempt.timestamp)
    _demand_time(snapshot.observed_at - attempt.timestamp, max_clock_ahead)


def _demand_time(ahead: float, most: float) -> None:
    if ahead > most:
        raise DecodeError(f"observed_at: {ahead:.0f} s ahead of the record's own time")


def _verify_request(attempt: Attempt, _: float) -> None:
    if attempt.value is not None:
        decode_verify_request(attempt.letter.key, attempt.value, attempt.timestamp)


def _world(attempt: Attempt, _: float) -> None:
    if attempt.value is not None:
        decode_world(attempt.value, attempt.timestamp)


def _table(decode: Callable[[bytes | None, bytes], object]) -> "_Reader":
    def read(attempt: Attempt, _: float) -> None:
        if attempt.value is None:
            decode_key(attempt.letter.key or b"")
        else:
            decode(attempt.letter.key, attempt.value)

    return read


def _plain(decode: Callable[[bytes], object]) -> "_Reader":
    def read(attempt: Attempt, _: float) -> None:
        if attempt.value is not None:
            decode(attempt.value)

    return read


_Reader = Callable[[Attempt, float], None]
_READERS: Mapping[str, _Reader] = {
    NPC_SNAPSHOTS: _snapshot,
    WORLD_SNAPSHOTS: _world,
    PLAYER_PROFILES: _table(decode_profile),
    NPC_ROSTER: _table(decode_roster_entry),
    LOCATIONS: _table(decode_location),
    NPC_UPDATE_COMMANDS: _plain(decode_command),
    NPC_UPDATE_RESULTS: _plain(decode_result),
    NPC_VERIFY_REQUESTS: _verify_request,
}


@dataclass(frozen=True, slots=True)
class Newest:
    """The last record of a letter's key, in the partition the letter is from, on a compacted topic.

    `requeued_from`: the id of the letter that this record was, empty for others.
    """

    offset: int
    requeued_from: str = ""


def keeps_last_only(topic: Topic) -> bool:
    """Whether the last record of a key is all that counts on a topic, whatever its time."""
    return topic.cleanup is Cleanup.COMPACT


def demand_newest(letter: Letter, newest: Newest | None) -> None:
    """RefusedError where a record of the same key came after the letter's."""
    why = letter.why
    if newest is None or why.offset is None:
        return
    if newest.offset > why.offset and newest.requeued_from != str(letter.id):
        where = f"{why.topic}/{why.partition}/{newest.offset}"
        raise RefusedError(f"a newer record of its key stands at {where}")
