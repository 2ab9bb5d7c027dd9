"""How urgent a command is. Pure.

    level   the command                                         the NPC is
    -----   -------------------------------------------------   --------------------------------
    0       tells who stands there                              watched: a player is among them
    1       tells where the NPC is or what it does              watched
    2       tells of a member's profile                         watched
    3 4 5   the same three                                      among NPCs, or alone
    6 7     the picture was stale                               watched, then the others
    8 9     a forced refresh                                    watched, then the others
    10 11   a verification                                      watched, then the others

Nobody is there to notice what an NPC knows that stands among NPCs, so all news of NPCs with a
player nearby goes first. What is no news, and most often finds nothing to write, goes last.
"""

from collections.abc import Callable

from topics.models import Desired, Reason

_NEWS = {
    Reason.FIRST_SEEN: 0,
    Reason.MEMBERS: 0,
    Reason.LOCATION: 1,
    Reason.ACTION: 1,
    Reason.PROFILE: 2,
}
_UPKEEP = {Reason.STALE: 6, Reason.FORCE_REFRESH: 8, Reason.VERIFY: 10}

NAMES = (
    *("watched_members", "watched_place", "watched_profile", "members", "place", "profile"),
    *("watched_stale", "stale", "watched_refresh", "refresh", "watched_verify", "verify"),
)
"""Of the levels, for a metric's label."""

LEVELS = len(NAMES)
"""Levels there are."""


def level_of(reason: Reason, *, is_watched: bool) -> int:
    """How urgent, 0 the most."""
    if reason in _UPKEEP:
        return _UPKEEP[reason] + (not is_watched)
    return _NEWS[reason] + (0 if is_watched else len(set(_NEWS.values())))


def is_news(reason: Reason) -> bool:
    """Whether something differs from what was pushed last."""
    return reason in _NEWS


def is_watched(desired: Desired, is_npc: Callable[[str], bool]) -> bool:
    """Whether a player stands with the NPC. `is_npc`: of a member's id."""
    return any(not is_npc(member.id) for member in desired.members)
