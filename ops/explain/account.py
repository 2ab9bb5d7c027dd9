"""What became of each snapshot of an NPC, told from the topics alone. Pure.

    on the topics                                        told as
    ---------------------------------------------------  -------------------------------------------
    a command made from the snapshot                     sent, with the command's reason
    a dead letter of it                                  dead letter, with its error
    neither, and the filter's own rules say nothing now  suppressed, outdated or disabled, with why
    neither, and the rules say something now             unexplained: not handled yet, or other
                                                         settings, roster or rules than now
    neither, and no command before it                    not known: what came before is gone

The state that a snapshot met is that of the last command before it and the last snapshot before
it, which is what the filter's Table holds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ops.history.memory import UNKNOWN, Change, Memory, changes
from streams.filter.core import GroupFilter, SnapshotOutcome, World
from streams.filter.decide import Policy
from streams.filter.state import GroupState
from topics.models import Reason, Snapshot, Source, UpdateCommand, UpdateResult

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Seen(NamedTuple):
    """A snapshot's record. `snapshot` None: it cannot be read, for the reason given."""

    place: Place
    at: float
    """The record's time, seconds since the epoch."""
    snapshot: Snapshot | None
    error: str = ""


class Fate(StrEnum):
    """What became of a snapshot."""

    SENT = "sent"
    SUPPRESSED = "suppressed"
    OUTDATED = "outdated"
    DISABLED = "disabled"
    DEAD_LETTER = "dead_letter"
    UNEXPLAINED = "unexplained"
    UNKNOWN = "unknown"


_LOOKED_AT = frozenset({Fate.SUPPRESSED, Fate.UNKNOWN, Fate.UNEXPLAINED})
"""Snapshots that led to nothing, and that the filter remembers all the same: else one that other
settings held back would make all after it look stale."""


class Sent(NamedTuple):
    """A command and what is known of its end."""

    command: UpdateCommand
    result: UpdateResult | None
    changes: tuple[Change, ...]
    """Against the command before it; none where there is none."""


class Account(NamedTuple):
    """One snapshot. `later`: commands made from it afterwards, by a profile or a verification."""

    seen: Seen
    fate: Fate
    why: str
    sent: Sent | None = None
    later: tuple[Sent, ...] = ()


class Evidence(NamedTuple):
    """All that the topics have of one NPC, each in its order."""

    seen: Sequence[Seen]
    commands: Sequence[UpdateCommand]
    results: Sequence[UpdateResult]
    dead_letters: Mapping[Place, str]
    """Errors."""
    world: World
    """Roster, locations and players as they stand now."""


def accounts(evidence: Evidence, policy: Policy, settle: float = 0.0) -> Iterator[Account]:
    """Each snapshot with what became of it, in the order of its topic."""
    by_place: defaultdict[Place, list[Sent]] = defaultdict(list)
    for sent in _sent(evidence):
        by_place[_place(sent.command.source)].append(sent)
    state: GroupState | None = None
    pushed = _pushed_before(evidence)
    for seen in evidence.seen:
        made = by_place.get(seen.place, [])
        account = _account(seen, made, state, evidence, policy, settle)
        yield account
        state = _state_after(account, made, state or pushed)


def _pushed_before(evidence: Evidence) -> GroupState | None:
    """What the filter knew at the first snapshot, but for the time of the one before it."""
    places = [one.place for one in evidence.seen[:1]]
    earlier = (
        command
        for command in reversed(evidence.commands)
        if command.reason is not Reason.VERIFY
        and any(_place(command.source) < place for place in places)
    )
    return next(map(_state, earlier), None)


def _sent(evidence: Evidence) -> Iterator[Sent]:
    ended: defaultdict[tuple[str, Reason], list[UpdateResult]] = defaultdict(list)
    for one in evidence.results:
        ended[one.command_id, one.reason].append(one)
    before: Memory = UNKNOWN
    for command in evidence.commands:
        after = _memory(command)
        result = _result_of(command, ended[command.command_id, command.reason])
        yield Sent(command, result, changes(before, after))
        before = after


def _result_of(command: UpdateCommand, ended: Sequence[UpdateResult]) -> UpdateResult | None:
    """The first since it was issued: every verification of a state has the same id. With clocks
    that disagree it may be the last one before.
    """
    since = (one for one in ended if one.finished_at >= command.issued_at)
    return next(since, ended[-1] if ended else None)


def _memory(command: UpdateCommand) -> Memory:
    desired = command.desired
    return Memory(members=desired.members, location=desired.location, action=desired.action)


def _account(
    seen: Seen,
    made: Sequence[Sent],
    state: GroupState | None,
    evidence: Evidence,
    policy: Policy,
    settle: float,
) -> Account:
    error = evidence.dead_letters.get(seen.place)
    if seen.snapshot is None or error is not None:
        return Account(seen, Fate.DEAD_LETTER, error or f"cannot be read: {seen.error}")
    own = next((one for one in made if _is_own(one.command, seen.snapshot)), None)
    later = tuple(one for one in made if one is not own)
    if own is not None:
        return Account(seen, Fate.SENT, own.command.reason.value, own, later)
    if state is None:
        return Account(
            seen, Fate.UNKNOWN, "what the filter knew then is no longer there", None, later
        )
    fate, why = _why_not(seen.snapshot, seen.place, state, evidence.world, policy, settle)
    return Account(seen, fate, why, None, later)


def _is_own(command: UpdateCommand, snapshot: Snapshot) -> bool:
    """Whether the snapshot itself led to it, and no tick afterwards."""
    return command.reason is not Reason.VERIFY and command.observed_at == snapshot.observed_at


def _why_not(
    snapshot: Snapshot,
    place: Place,
    state: GroupState,
    world: World,
    policy: Policy,
    settle: float,
) -> tuple[Fate, str]:
    """What the filter's own rules say of a snapshot without a command."""
    seen = GroupFilter(world, policy, settle).observe(snapshot, state, _source(place), 0.0)
    match seen.outcome:
        case SnapshotOutcome.DISABLED:
            return Fate.DISABLED, "the roster says enabled: false"
        case SnapshotOutcome.OUTDATED:
            late = state.last_updated - snapshot.observed_at
            return Fate.OUTDATED, f"{late:.1f} s older than a snapshot before it"
        case SnapshotOutcome.SENT if seen.command is not None:
            return Fate.UNEXPLAINED, f"today it would be sent: {seen.command.reason.value}"
    return Fate.SUPPRESSED, _nothing_new(snapshot, state, policy)


def _nothing_new(snapshot: Snapshot, state: GroupState, policy: Policy) -> str:
    gap = snapshot.observed_at - state.last_updated
    pushed = snapshot.observed_at - state.last_force_refresh
    return (
        f"nothing differs; {gap:.1f} s after the one before (stale after"
        f" {policy.stale_data_threshold:g} s), {pushed:.1f} s after the last push (refresh after"
        f" {policy.force_refresh_interval:g} s)"
    )


def _state_after(
    account: Account, made: Sequence[Sent], state: GroupState | None
) -> GroupState | None:
    """As the Table has it after a snapshot and all that was made from it."""
    pushed = [one.command for one in made if one.command.reason is not Reason.VERIFY]
    if pushed:
        return _state(pushed[-1])
    snapshot = account.seen.snapshot
    if state is None or snapshot is None or account.fate not in _LOOKED_AT:
        return state
    source = _source(account.seen.place)
    return msgspec.structs.replace(state, last_updated=snapshot.observed_at, source=source)


def _state(command: UpdateCommand) -> GroupState:
    """As the Table has it right after a command."""
    return GroupState(
        desired=command.desired,
        last_updated=command.observed_at,
        last_force_refresh=command.observed_at,
        source=command.source,
    )


def _place(source: Source) -> Place:
    return source.topic, source.partition, source.offset


def _source(place: Place) -> Source:
    return Source(topic=place[0], partition=place[1], offset=place[2])
