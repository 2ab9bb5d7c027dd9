"""How old news was when an NPC's memory knew of it. Pure.

    a change    the first snapshot of an NPC that shows another group, place or action
    its age     from the snapshot's `observed_at`, which is when it was due whether or not anybody
                was late, to the end of the first command that made the memory as new as that, or
                newer; what happened in between is in no memory and needs to be in none
    unknown     a change that no memory was as new as in the end counts with its age until then

The same for every mode: it goes by what the game told and by results, not by commands.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from ops.demo.game import Truth
from topics.models import Outcome, UpdateResult

_KNOWS = frozenset({Outcome.APPLIED, Outcome.REPAIRED, Outcome.UNCHANGED, Outcome.OUTDATED})
_ROUNDING = 1e-6


class Change(NamedTuple):
    """Something new about an NPC."""

    npc_id: str
    at: float
    """`observed_at` of the snapshot that shows it first, seconds since the epoch."""
    is_first: bool
    """Nothing had been told of the NPC before."""
    is_group_watched: bool
    """Somebody came or went, and a player stands there now."""


class Known(NamedTuple):
    """From `finished_at` on, a memory is as new as `observed_at`; seconds since the epoch."""

    observed_at: float
    finished_at: float


Shape = Callable[[Truth], tuple[Hashable, ...]]
"""What of a truth a memory holds, the group first."""


def changes_of(
    truths: Iterable[Truth], shape: Shape, is_player: Callable[[str], bool], epoch: float
) -> Iterator[Change]:
    """The changes of a game that began at `epoch`, in its order."""
    before: dict[str, tuple[Hashable, ...]] = {}
    for truth in truths:
        now, last = shape(truth), before.get(truth.npc_id)
        if now == last:
            continue
        before[truth.npc_id] = now
        is_group = last is not None and now[0] != last[0]
        watched = is_group and any(map(is_player, truth.members))
        yield Change(truth.npc_id, round(epoch + truth.at, 3), last is None, watched)


def known_by(result: UpdateResult) -> Known | None:
    """What a result says of a memory; None: nothing."""
    if result.outcome not in _KNOWS:
        return None
    return Known(result.observed_at, result.finished_at)


def ages(
    changes: Iterable[Change], known: Mapping[str, Sequence[Known]], until: float
) -> list[float]:
    """Seconds, one for each change in its order. `known`: by npc_id, in the order of finishing."""
    newest = {
        npc_id: list(accumulate((one.observed_at for one in every), max))
        for npc_id, every in known.items()
    }
    return [
        _age(one, newest.get(one.npc_id, []), known.get(one.npc_id, ()), until) for one in changes
    ]


def _age(change: Change, newest: list[float], known: Sequence[Known], until: float) -> float:
    index = bisect_left(newest, change.at - _ROUNDING)
    end = known[index].finished_at if index < len(known) else until
    return max(min(end, until) - change.at, 0.0)
