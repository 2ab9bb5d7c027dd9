"""Which NPC is next: a queue of NPC ids in the manner of client-go's workqueue. Pure: time and
chance are arguments.

    rule                                                     so that
    -------------------------------------------------------  ---------------------------------------
    one piece of work waits per NPC, the newest              a burst costs one write
    an NPC being worked on is handed out to nobody else      its writes never overlap
    the lowest level first, and within it who waits longest  membership is seen soon
    newer work keeps the NPC's best level and longest wait   who changes often is not put off
    one in EVERY that are handed out is who waits longest,   nothing starves: with n NPCs waiting
      whatever its level                                     everybody's turn comes in EVERY n
    an NPC that failed waits, longer each time, with jitter  it holds up nobody, and no herd returns
    newer work for a failing NPC waits as long               a failing server is left alone
    a probe may go before its wait is over, and after one    an outage ends for all when it ends for
    that worked nobody waits for past failures any more      one
    an NPC that is postponed waits as long as it was told    what it waits for is no failure

No more entries than NPCs with unfinished work, and some that are out of date, never more than as
many again; the order needs logarithmic time.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

EVERY = 12
"""One in so many turns goes to who waits longest: a twelfth of Letta keeps everybody's worst wait
bounded, the rest keeps what is urgent fresh. With an eighth, at twice what a server takes, groups
with a player waited 2 to 3 s (p95) instead of 1.4, and the others 80 s at worst instead of 100.
"""

_FEW = 64

_Work = TypeVar("_Work")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long an NPC waits after a failure: doubling, and anywhere in the upper half of that."""

    first: float = 0.5
    """Seconds after the first failure."""
    longest: float = 10.0
    """Seconds after many: a small game, whose few NPCs open no breaker, is back that soon."""
    chance: Callable[[], float] = random.random
    """Between 0 and 1."""

    def delay(self, failures: int, at_least: float | None) -> float:
        """Seconds after so many failures in a row. `at_least`: what the other side asked for."""
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        return max(full * (0.5 + 0.5 * self.chance()), at_least or 0.0)


@dataclass(slots=True)
class _Place(Generic[_Work]):
    work: _Work
    level: int
    since: float
    """When the NPC's oldest work that is not done yet came."""

    def by_level(self) -> tuple[float, float]:
        """The most urgent first, then who waits longest."""
        return self.level, self.since

    def by_age(self) -> tuple[float, float]:
        """Who waits longest first."""
        return self.since, self.level


_Order = Callable[["_Place[Any]"], tuple[float, float]]
_Entry = tuple[tuple[float, float], int, str]
"""Where an NPC stood in an order; the second keeps ids from being compared."""


class WorkQueue(Generic[_Work]):
    """NPC ids with work; the rules stand above. Times are seconds on any steady clock."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        # Every NPC with work that nobody has taken; it may be active at the same time.
        self._waiting: dict[str, _Place[_Work]] = {}
        # When the work that is under way came.
        self._active: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._held_until: dict[str, float] = {}
        # Held for no failure: neither a probe nor the end of an outage lets them begin.
        self._postponed: set[str] = set()
        # Who may begin, in two orders. Entries may be out of date: an NPC's place counts.
        self._orders: dict[_Order, list[_Entry]] = {_Place.by_level: [], _Place.by_age: []}
        self._later: list[tuple[float, int, str]] = []
        self._numbers = count()
        self._turns = 0

    def __len__(self) -> int:
        """NPCs waiting."""
        return len(self._waiting)

    def __contains__(self, npc_id: object) -> bool:
        """Whether an NPC waits or is worked on."""
        return npc_id in self._waiting or npc_id in self._active

    @property
    def active(self) -> int:
        """NPCs being worked on."""
        return len(self._active)

    def put(
        self, npc_id: str, work: _Work, level: int, now: float, hold: float = 0.0
    ) -> _Work | None:
        """Work for an NPC, level 0 the most urgent. Returns the older work it replaces.

        `hold`: seconds it shall wait first, if none for the NPC waits or is under way.
        """
        place = self._waiting.get(npc_id)
        if place is None:
            self._waiting[npc_id] = _Place(work, level, now)
            if hold and npc_id not in self._active:
                self._hold(npc_id, now + hold)
            self._schedule(npc_id, now)
            return None
        older, place.work = place.work, work
        if level < place.level:
            place.level = level
            self._schedule(npc_id, now)
        return older

    def take(self, now: float) -> tuple[str, _Work] | None:
        """The next NPC and its work, if any may begin. Active until `finish` or `retry`."""
        self._wake_up(now)
        is_turn_of_oldest = self._turns % EVERY == EVERY - 1
        npc_id = self._first(_Place.by_age if is_turn_of_oldest else _Place.by_level)
        return self._hand_out(npc_id) if npc_id is not None else None

    def take_any(self, now: float) -> tuple[str, _Work] | None:
        """The same, but where nobody may begin, who waits after a failure and would be next."""
        item, passed_over = self.take(now), []
        while item is None and self._later:
            entry = heappop(self._later)
            npc_id = entry[2]
            if npc_id in self._postponed:
                passed_over.append(entry)
            elif npc_id in self._waiting and npc_id not in self._active:
                item = self._hand_out(npc_id)
        for entry in passed_over:
            heappush(self._later, entry)
        return item

    def release(self, now: float) -> None:
        """Whoever waits after a failure may begin. The next wait is no shorter for that."""
        held, self._later = self._later, []
        self._held_until = {who: self._held_until[who] for who in self._postponed}
        for _, _, npc_id in held:
            self._schedule(npc_id, now)

    def finish(self, npc_id: str, now: float) -> None:
        """The work is done, well or for good: the NPC's failures are forgotten."""
        self._active.pop(npc_id, None)
        self._failures.pop(npc_id, None)
        self._hold_no_longer(npc_id)
        self._schedule(npc_id, now)

    def retry(
        self, npc_id: str, work: _Work, level: int, now: float, at_least: float | None = None
    ) -> _Work | None:
        """The work failed for now. Returns it if newer work waits already."""
        failures = self._failures[npc_id] = self._failures.get(npc_id, 0) + 1
        delay = self._backoff.delay(failures, at_least)
        self._postponed.discard(npc_id)
        return self._put_back(npc_id, work, level, now, delay)

    def postpone(
        self, npc_id: str, work: _Work, level: int, now: float, seconds: float
    ) -> _Work | None:
        """The work cannot begin yet, for no fault. Returns it if newer work waits already."""
        self._postponed.add(npc_id)
        return self._put_back(npc_id, work, level, now, seconds)

    def _put_back(
        self, npc_id: str, work: _Work, level: int, now: float, seconds: float
    ) -> _Work | None:
        since = self._active.pop(npc_id, now)
        self._held_until[npc_id] = now + seconds
        newer = self._waiting.get(npc_id)
        if newer is None:
            self._waiting[npc_id] = _Place(work, level, since)
        else:
            newer.level, newer.since = min(newer.level, level), min(newer.since, since)
        self._schedule(npc_id, now)
        return work if newer is not None else None

    def next_ready(self, now: float) -> float | None:
        """When work may begin that nobody has taken: now, later, or None: nothing is known to."""
        if self._first(_Place.by_level) is not None:
            return now
        return self._later[0][0] if self._later else None

    def withdraw(self, npc_ids: Iterable[str]) -> list[_Work]:
        """Forgets NPCs and returns their waiting work. Work that was taken goes on."""
        withdrawn = []
        for npc_id in npc_ids:
            self._failures.pop(npc_id, None)
            self._hold_no_longer(npc_id)
            place = self._waiting.pop(npc_id, None)
            if place is not None:
                withdrawn.append(place.work)
        return withdrawn

    def waiting(self) -> list[str]:
        """The NPCs that wait, in no order."""
        return list(self._waiting)

    def depths(self) -> Counter[int]:
        """NPCs waiting by level."""
        return Counter(place.level for place in self._waiting.values())

    def age(self, now: float) -> float:
        """Seconds for which the one that has waited longest of those who may begin has waited."""
        oldest = self._first(_Place.by_age)
        return now - self._waiting[oldest].since if oldest is not None else 0.0

    def _hand_out(self, npc_id: str) -> tuple[str, _Work]:
        place = self._waiting.pop(npc_id)
        self._active[npc_id] = place.since
        self._turns += 1
        return npc_id, place.work

    def _first(self, order: _Order) -> str | None:
        entries = self._orders[order]
        while entries:
            if self._may_begin(entries[0], order):
                return entries[0][2]
            heappop(entries)
        return None

    def _may_begin(self, entry: _Entry, order: _Order) -> bool:
        """Whether an entry stands for its NPC still."""
        where, _, npc_id = entry
        place = self._waiting.get(npc_id)
        is_place = place is not None and order(place) == where
        return is_place and npc_id not in self._active and npc_id not in self._held_until

    def _hold(self, npc_id: str, until: float) -> None:
        self._held_until[npc_id] = until
        self._postponed.add(npc_id)

    def _hold_no_longer(self, npc_id: str) -> None:
        self._held_until.pop(npc_id, None)
        self._postponed.discard(npc_id)

    def _schedule(self, npc_id: str, now: float) -> None:
        place = self._waiting.get(npc_id)
        if place is None or npc_id in self._active:
            return
        until = self._held_until.get(npc_id, now)
        if until > now:
            heappush(self._later, (until, next(self._numbers), npc_id))
            return
        self._hold_no_longer(npc_id)
        self._let_in(npc_id, place)

    def _let_in(self, npc_id: str, place: _Place[_Work]) -> None:
        for order, entries in self._orders.items():
            if len(entries) > 2 * len(self._waiting) + _FEW:
                self._sweep(order, entries)
            heappush(entries, (order(place), next(self._numbers), npc_id))

    def _sweep(self, order: _Order, entries: list[_Entry]) -> None:
        """Leaves the entries out that are out of date."""
        entries[:] = [entry for entry in entries if self._may_begin(entry, order)]
        heapify(entries)

    def _wake_up(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, npc_id = heappop(self._later)
            if self._held_until.get(npc_id, now) <= now:
                self._schedule(npc_id, now)
