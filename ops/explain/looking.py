"""How far back to look, and what has been told already. Pure.

The newest snapshots are wanted most often, and a partition holds hundreds of other NPCs: the first
look goes a little way back, each further one eight times as far, the last as far as was asked.

Who follows an NPC tells each snapshot once, as soon as what became of it is known:

    a snapshot                                 is told
    -----------------------------------------  -----------------------------
    whose command has a result                 at once
    without one                                WAIT seconds after it came
    that has been told                         not again
"""

from collections.abc import Collection, Iterator

from ops.explain.account import Account, Place

FURTHER = 8
"""Times as far as the look before."""

WAIT = 6.0
"""Seconds after which nothing more is expected of a snapshot."""

BACK = 60.0
"""Seconds that are read again at each look: records come from several producers, a little late."""


def looks(since: float, now: float, first: float) -> Iterator[float]:
    """From when to read, look by look; the last is `since`."""
    back = first
    while now - back > since:
        yield now - back
        back *= FURTHER
    yield since


class Told:
    """The snapshots of one NPC that have been told."""

    def __init__(self, since: float) -> None:
        """`since`: nothing earlier is told."""
        self.since = since
        """From when to read."""
        self._begin = since
        self._told: dict[Place, float] = {}

    def take(self, found: Collection[Account], now: float) -> list[Account]:
        """Those to tell now."""
        fresh = [one for one in found if self._is_due(one, now)]
        self._told |= {one.seen.place: one.seen.at for one in fresh}
        self.since = max([self.since, *(one.seen.at - BACK for one in found)])
        self._told = {place: at for place, at in self._told.items() if at >= self.since - BACK}
        return fresh

    def _is_due(self, one: Account, now: float) -> bool:
        is_new = one.seen.at >= self._begin and one.seen.place not in self._told
        return is_new and (now - one.seen.at > WAIT or _has_ended(one))


def _has_ended(one: Account) -> bool:
    return one.sent is not None and one.sent.result is not None
