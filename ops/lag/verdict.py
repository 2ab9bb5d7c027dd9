"""What a window of samples says of a group on a partition, after LinkedIn's Burrow. Pure.

The first that holds:

    verdict  holds when                                              what it means
    -------  ------------------------------------------------------  -------------------------------
    NONE     nothing was ever committed                              nobody has finished a record
    OK       the lag was 0 at some time in the window                it keeps up
    REWIND   an offset is lower than the one before                  somebody reset it
    STOP     the offset stood still, and the group has no member     start a worker
    STALL    the offset stood still, and the group has members       a record cannot be finished
    WARN     it moves, and the lag never shrank                      more comes than is finished
    OK       (nothing else holds)                                    it is catching up

Burrow tells STOP from STALL by the time of the last commit, which the protocol does not tell to
others than the broker; here members tell them apart. With one sample only NONE and OK can be told.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple


class Verdict(StrEnum):
    """As Burrow names them."""

    OK = "OK"
    WARN = "WARN"
    STOP = "STOP"
    STALL = "STALL"
    REWIND = "REWIND"
    NONE = "NONE"


class Sample(NamedTuple):
    """A group on a partition at one moment."""

    at: float
    """Seconds since the epoch."""
    committed: int | None
    """The next offset to be finished; None: nothing was ever committed."""
    end: int
    """The offset that the next record will have."""
    start: int = 0
    """The first offset that is still there."""

    @property
    def lag(self) -> int | None:
        """Records not finished, those that are gone left out; None without a commit."""
        if self.committed is None:
            return None
        return max(self.end - max(self.committed, self.start), 0)


def verdict(window: Sequence[Sample], members: int) -> Verdict:
    """What a window, oldest first and not empty, says. `members`: of the group, now."""
    samples = [sample for sample in window if sample.committed is not None]
    if not samples or window[-1].committed is None:
        return Verdict.NONE
    if len(samples) < 2 or any(sample.lag == 0 for sample in samples):
        return Verdict.OK
    offsets = [sample.committed or 0 for sample in samples]
    if any(after < before for before, after in pairwise(offsets)):
        return Verdict.REWIND
    if len(set(offsets)) == 1:
        return Verdict.STALL if members else Verdict.STOP
    lags = [sample.lag or 0 for sample in samples]
    is_shrinking = any(after < before for before, after in pairwise(lags))
    return Verdict.OK if is_shrinking else Verdict.WARN


def trend(window: Sequence[Sample]) -> float | None:
    """By how many records a second the lag grows (less than 0: shrinks); None: not known."""
    known = [sample for sample in window if sample.lag is not None]
    if len(known) < 2 or known[-1].at <= known[0].at:
        return None
    return ((known[-1].lag or 0) - (known[0].lag or 0)) / (known[-1].at - known[0].at)
