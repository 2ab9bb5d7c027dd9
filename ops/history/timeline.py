"""The history of one NPC's memory, from its commands and their results. Pure.

Letta keeps none. A result tells that something was done and when; its command tells what:

    outcome of the result         command on the topic        command compacted or deleted
    ----------------------------  --------------------------  -------------------------------------
    applied, repaired, unchanged  memory is as it says        the blocks written are not known
    superseded, outdated, failed  the blocks written are as   the blocks written are not known
                                  it says, usually none
    none yet                      pending, unless a newer     cannot be seen
                                  command has a result

Entries stand in the order of the results' topic: clocks of two workers may differ, the order of a
partition does not. What an NPC itself did to its blocks is seen only where it met the game's part:
as a conflict.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from ops.history.memory import PARTS, UNKNOWN, Change, Memory, Part, changes, forgotten, written
from streams.writer import group, status
from topics.models import Desired, Outcome, UpdateCommand, UpdateResult

HOLDING = frozenset({Outcome.APPLIED, Outcome.REPAIRED, Outcome.UNCHANGED})
"""Outcomes after which the whole memory is as the command says."""

PARTS_OF = {
    group.LABEL: frozenset({Part.MEMBERS}),
    status.LABEL: frozenset({Part.LOCATION, Part.ACTION}),
}
"""What each block of the game's says."""


class Said(NamedTuple):
    """A command and when it came onto its topic."""

    command: UpdateCommand
    at: float


class Entry(NamedTuple):
    """A result, and what the memory was after it."""

    result: UpdateResult
    command: UpdateCommand | None
    """None: no longer on the topic."""
    before: Memory
    after: Memory

    @property
    def changes(self) -> tuple[Change, ...]:
        """What became different, as far as both sides are known."""
        return changes(self.before, self.after)

    @property
    def is_holding(self) -> bool:
        """Whether it tells what the memory is: it was written or confirmed."""
        return self.result.outcome in HOLDING or bool(self.result.blocks)

    @property
    def is_beginning(self) -> bool:
        """Whether something became known here that was not known before."""
        return any(
            getattr(self.before, part) is None and getattr(self.after, part) is not None
            for part in PARTS
        )

    @property
    def is_worth_a_line(self) -> bool:
        """Whether it is more than a confirmation, or than a command that a newer one overtook."""
        is_quiet = self.result.outcome in (Outcome.SUPERSEDED, Outcome.OUTDATED, Outcome.UNCHANGED)
        return bool(self.changes or self.is_beginning or self.result.conflicts) or not is_quiet


class Timeline(NamedTuple):
    """What is known of one NPC."""

    entries: tuple[Entry, ...]
    pending: tuple[UpdateCommand, ...]
    """Commands still on their way, oldest first."""
    since: float | None
    """When the first record was written that is still there; None: there is none."""

    def at(self, time: float) -> "Timeline":
        """The same as it was then: what finished later, or was issued later, is left out."""
        entries = tuple(entry for entry in self.entries if entry.result.finished_at <= time)
        known = {entry.result.command_id for entry in entries}
        later = (e.command for e in self.entries if e.result.finished_at > time)
        waiting = (c for c in (*later, *self.pending) if c and c.command_id not in known)
        pending = {c.command_id: c for c in waiting if c.issued_at <= time}
        return Timeline(entries, tuple(pending.values()), self.since)

    @property
    def newest(self) -> Entry | None:
        """The last entry that tells what the memory is."""
        return next((entry for entry in reversed(self.entries) if entry.is_holding), None)

    @property
    def failures(self) -> tuple[Entry, ...]:
        """Commands given up since the memory was last written or confirmed."""
        since = list(takewhile(lambda entry: not entry.is_holding, reversed(self.entries)))
        return tuple(e for e in reversed(since) if e.result.outcome is Outcome.FAILED)


def timeline(
    commands: Iterable[Said], results: Iterable[UpdateResult], since: float | None = None
) -> Timeline:
    """Joins commands and results of one NPC, both in the order of their topics.

    `since`: when the first record was written, where that is known better than from a command.
    """
    said = list(commands)
    by_id = {each.command.command_id: each.command for each in said}
    entries = tuple(_entries(by_id, results))
    starts = [each.at for each in said] + ([] if since is None else [since])
    return Timeline(entries, tuple(_pending(said, entries)), min(starts, default=None))


def _entries(
    commands: dict[str, UpdateCommand], results: Iterable[UpdateResult]
) -> Iterator[Entry]:
    before = UNKNOWN
    for result in results:
        command = commands.get(result.command_id)
        after = after_result(before, command.desired if command else None, result)
        yield Entry(result, command, before, after)
        before = after


def after_result(before: Memory, desired: Desired | None, result: UpdateResult) -> Memory:
    """The memory after a result; the rules stand above. `desired` None: the command is gone."""
    touched = _parts(result.blocks)
    if desired is None:
        return forgotten(before, touched)
    return written(before, desired, PARTS if result.outcome in HOLDING else touched)


def _parts(labels: Collection[str]) -> frozenset[Part]:
    return frozenset().union(*(PARTS_OF.get(label, frozenset()) for label in labels))


def _pending(said: Sequence[Said], entries: Iterable[Entry]) -> Iterator[UpdateCommand]:
    answered = {entry.result.command_id for entry in entries}
    places = [at for at, each in enumerate(said) if each.command.command_id in answered]
    waiting = (each.command for each in said[max(places, default=-1) + 1 :])
    yield from {command.command_id: command for command in waiting}.values()


class Confirmations(NamedTuple):
    """Entries in a row of which none is worth a line."""

    entries: tuple[Entry, ...]


def told(entries: Iterable[Entry]) -> Iterator[Entry | Confirmations]:
    """Entries as they are shown: each that is worth a line, and the runs of others between them."""
    quiet: list[Entry] = []
    for entry in entries:
        if not entry.is_worth_a_line:
            quiet.append(entry)
            continue
        if quiet:
            yield Confirmations(tuple(quiet))
            quiet = []
        yield entry
    if quiet:
        yield Confirmations(tuple(quiet))
