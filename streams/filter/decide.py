"""The decision: does this NPC's memory need an update, and why?

Pure: no clock, no I/O; `now` is the `observed_at` of the snapshot at hand. The first that holds:

    reason         holds when                                      direct  filtered  cached
    first_seen     there is no state                                  x       x        x
    members        somebody came or went                              x       x        x
    location       the NPC is somewhere else                          x       x        x
    action         it does something else                             x       x        x
    profile        a member's name or appearance became known         x       x        x
    force_refresh  the last full push is `force_refresh_interval` old -       -        x
                   (of many that are due, a few at a time: `pace`)
    stale          our picture is older than `stale_data_threshold`   -       -        x
                   (longer for an NPC seldom reported on: `cadence`)
    force_refresh  (nothing else holds: `direct` sends every one)     x       -        -

What "our picture is older" means is a policy. `gap`: the time between this snapshot and the one
before it. `seed`: the time since the last push, tested first, so that an idle NPC is pushed every
30 s and its forced refresh never comes (docs/decisions/0004).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.filter.state import GroupState
from streams.settings import Mode, Settings, Staleness
from topics.models import Desired, Member, Reason
from topics.text import fold


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of the settings a decision depends on; seconds."""

    mode: Mode = Mode.CACHED
    staleness: Staleness = Staleness.GAP
    stale_data_threshold: float = 30.0
    force_refresh_interval: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """The policy a worker's settings ask for."""
        return cls(
            mode=settings.mode,
            staleness=settings.staleness,
            stale_data_threshold=settings.stale_data_threshold,
            force_refresh_interval=settings.force_refresh_interval,
        )


def decide(
    state: GroupState | None,
    desired: Desired,
    now: float,
    policy: Policy,
    stale_after: float | None = None,
    seen_at: float | None = None,
) -> Reason | None:
    """Why to send a command for `desired`, or None when the memory is right as it is.

    `stale_after`: seconds for this NPC, None: those of the policy. `seen_at`: when the picture was
    confirmed last, None: as the state has it.
    """
    if state is None:
        return Reason.FIRST_SEEN
    return difference(state.desired, desired) or _due(
        state.last_force_refresh,
        state.last_updated if seen_at is None else seen_at,
        now,
        policy,
        policy.stale_data_threshold if stale_after is None else stale_after,
    )


def is_stale(seen_at: float, now: float, stale_after: float) -> bool:
    """Whether the gap before a snapshot was too long."""
    return now - seen_at > stale_after


def difference(before: Desired, after: Desired) -> Reason | None:
    """What differs most between two desired states. The order of members is no difference."""
    if before == after:
        return None
    if _people(before.members) != _people(after.members) and not _same_names(before, after):
        return Reason.MEMBERS
    if before.location != after.location:
        return Reason.LOCATION
    if before.action != after.action:
        return Reason.ACTION
    return Reason.PROFILE if set(before.members) != set(after.members) else None


def _people(members: Iterable[Member]) -> set[str]:
    return {member.id for member in members}


def _same_names(before: Desired, after: Desired) -> bool:
    """A player whose id became known is the same person under another id: nobody came or went."""
    return len(before.members) == len(after.members) and _names(before) == _names(after)


def _names(desired: Desired) -> list[str]:
    return sorted([fold(member.name) for member in desired.members])


def _due(
    pushed_at: float, seen_at: float, now: float, policy: Policy, stale_after: float
) -> Reason | None:
    if policy.mode is Mode.DIRECT:
        return Reason.FORCE_REFRESH
    if policy.mode is Mode.FILTERED:
        return None
    pushed = now - pushed_at
    if policy.staleness is Staleness.SEED and pushed > policy.stale_data_threshold:
        return Reason.STALE
    if pushed >= policy.force_refresh_interval:
        return Reason.FORCE_REFRESH
    return Reason.STALE if is_stale(seen_at, now, stale_after) else None
