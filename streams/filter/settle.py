"""Flap damping: a member who comes or goes counts once it has lasted.

A player who steps in and out of a group within `settle` seconds leaves no trace in memory. A
change that reverts starts anew; everything else about the NPC is passed on at once. Times are
event times, so the change is taken up by the first snapshot after it has lasted long enough.
"""

from collections.abc import Mapping

import msgspec

from topics.models import Desired

Pending = Mapping[str, float]


def settled(
    before: Desired, desired: Desired, pending: Pending, now: float, settle: float
) -> tuple[Desired, Pending]:
    """What of `desired` has lasted, and since when each change that has not has been seen.

    `pending` maps the id of a member who came or went to the `observed_at` that first showed it.
    """
    known = {member.id: member for member in before.members}
    seen = {member.id: member for member in desired.members}
    since = {who: pending.get(who, now) for who in known.keys() ^ seen.keys()}
    waiting = {who: first for who, first in since.items() if now - first < settle}
    members = tuple(
        [seen.get(who, member) for who, member in known.items() if who in seen or who in waiting]
        + [member for who, member in seen.items() if who not in known and who not in waiting]
    )
    return msgspec.structs.replace(desired, members=members), waiting
