"""One simulation: a rough stretch, then peace, then what was promised is looked at.

stretch   what happens
--------  ------------------------------------------------------------------------------------
rough     the game plays; crashes, stalls, rebalances, Letta's and Kafka's faults, NPCs that
          write and tools that write old values back
peace     input and faults end; everything must be consumed and acked, and every memory right
          as far as snapshots go (a profile heard by nobody waits for the next snapshot)
glance    one more ordinary snapshot of each NPC, 3 s later, nothing changed: every memory must
          be right, but where a window was seen that needs a full push (they are counted)
refresh   one more snapshot after the force refresh interval: every memory must be right
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from streams.settings import Layout
from streams.topology import Role
from tests.simulation.game import Game
from tests.simulation.kafka import PARTITIONS, Broker, Group
from tests.simulation.letta import Letta, Npcs
from tests.simulation.process import CONCURRENCY, SETTINGS, Process
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace
from topics.catalogue import NPC_SNAPSHOTS, NPC_UPDATE_COMMANDS

EPOCH = 1_795_426_413.0
ROUGH_SECONDS = 17.0
GAME_SECONDS = 15.0
"""So that the last snapshots, too, meet crashes."""

PATIENCE = 150.0
"""Virtual seconds in which everything must be consumed once there is peace."""

ROLES = (Role.FILTER, Role.WRITER)
SPLIT_SHARE = 5
"""One seed in so many runs in the split layout."""


class World:
    """Everything there is. `writer_options`: of the WriteLoop, for planted bugs."""

    def __init__(
        self, seed: int, *, traced: bool = False, writer_options: dict[str, Any] | None = None
    ) -> None:
        self.random = Random(seed)
        self.layout = Layout.SPLIT if seed % SPLIT_SHARE == SPLIT_SHARE - 1 else Layout.SHARED
        self.epoch = EPOCH
        self.timeline = Timeline()
        self.trace = Trace(lambda: self.timeline.now, traced)
        self.trace.counts[f"layout {self.layout.value}"] += 1
        self.broker = Broker(self.timeline, self.random, self.trace)
        self.letta, self.npcs = Letta(self), Npcs(self)
        self.game = Game(self)
        self.groups = {
            Role.FILTER: Group(NPC_SNAPSHOTS),
            Role.WRITER: Group(NPC_UPDATE_COMMANDS),
        }
        self.processes: list[Process] = []
        self.is_rough = True
        self.last_error: BaseException | None = None
        self.writer_options = writer_options or {}
        self.most_waiting = 0
        self.most_unacked = 0

    def group(self, role: Role) -> Group:
        return self.groups[role]

    def run(self) -> Trace:
        """The whole simulation."""
        try:
            self._rough()
            if self._peace("in peace"):
                self._compare("in peace", looks=False)
                self._glance()
                self._refresh()
        finally:
            self.timeline.close()
        return self.trace

    def let_go(self) -> None:
        """Its end: a garbage collector that had to find it took a tenth of the time."""
        for process in self.processes:
            process.let_go()
        vars(self).clear()

    # the rough stretch

    def _rough(self) -> None:
        random, after = self.random, self.timeline.after
        self.game.found(random.choice((1, 2, 2, 3, 4)))
        for role in ROLES:
            for _ in range(random.choice((1, 1, 2))):
                self._start(role)
        self.game.plan(GAME_SECONDS)
        self.letta.failures = random.choice((0.0, 0.03, 0.12, 0.3))
        self.broker.failures = random.choice((0.0, 0.0, 0.0, 0.01))
        self._plan(random.choice((0, 8, 25)), self.npcs.edit_any)
        self._plan(random.choice((0, 0, 4)), self.npcs.run_tool)
        self._plan(random.randint(0, 3), self._disturb)
        last = random.choice(list(self.game.last_reports.values()))
        for role in ROLES:
            after(last + random.uniform(0, 0.3) * (role is Role.WRITER), self._doom, role)
        if random.random() < 0.3:
            after(random.uniform(0, ROUGH_SECONDS), self._letta_goes_away)
        self._watch()
        self.timeline.run_until(ROUGH_SECONDS)

    def _plan(self, times: int, what: Callable[[], None]) -> None:
        for _ in range(times):
            self.timeline.after(self.random.uniform(0, ROUGH_SECONDS), what)

    def _doom(self, role: Role) -> None:
        """A crash over an NPC's last snapshot: no later one makes up for what it loses."""
        for process in self._alive(role):
            if self.random.random() < 0.6:
                process.doomed_at = process.steps + self.random.randint(1, 9)

    def _letta_goes_away(self) -> None:
        self.letta.outage_until = self.timeline.now + self.random.uniform(1, 8)
        self.trace.fault("letta outage", "letta", f"until {self.letta.outage_until:.1f}")

    def _disturb(self) -> None:
        """Something happens to the workers of a role."""
        role = self.random.choice(ROLES)
        alive = self._alive(role)
        if not alive:
            return
        victim = self.random.choice(alive)
        kind = self.random.choice(("kill", "stall", "add", "stop"))
        if kind == "kill":
            victim.kill("crash at a time")
        elif kind == "stall" and victim in self.group(role).members:
            self._stall(victim)
        elif kind == "add" and len(alive) < 3:
            self.trace.fault("worker added", victim.name)
            self._start(role)
        elif kind == "stop" and len(alive) > 1:
            victim.node.begin(victim.drain)

    def _start(self, role: Role) -> None:
        doomed_at = None
        if self.is_rough and self.random.random() < 0.6:
            doomed_at = self.random.randint(1, self.random.choice((15, 60, 200)))
        name = f"{role}-{len(self.processes)}"
        process = Process(self, role, name, doomed_at)
        self.processes.append(process)
        self.timeline.after(self.random.uniform(0.05, 0.4), self._join, process)

    def _join(self, process: Process) -> None:
        group = self.group(process.role)
        if not process.node.is_dead and process not in group.members:
            self._when_idle(process.role, [*group.members, process])

    def _when_idle(self, role: Role, members: list[Process], tries: int = 30) -> None:
        """A rebalance that all take part in: the filter waits for what it has in work."""
        present = [m for m in self.group(role).members if not m.node.is_dead]
        busy = role is Role.FILTER and not all(m.consumer.is_idle() for m in present)
        if busy and tries:
            self.timeline.after(0.1, self._when_idle, role, members, tries - 1)
            return
        for member in present:
            member.consumer.commit()
        joined = {m.name: m for m in (*self.group(role).members, *members)}
        self.group(role).rebalance([m for m in joined.values() if not m.node.is_dead], self.random)

    def _stall(self, victim: Process) -> None:
        """The group gives a worker up that goes on for a while and does not know it."""
        seconds = self.random.uniform(1.0, 8.0)
        self.trace.fault("stall", victim.name, f"for {seconds:.1f} s")
        group = self.group(victim.role)
        others = [m for m in group.members if m is not victim]
        group.rebalance(others, self.random)
        if not group.members:
            self._start(victim.role)
        self.timeline.after(seconds, self._wakes, victim)

    def _wakes(self, victim: Process) -> None:
        if not victim.node.is_dead and victim not in self.group(victim.role).members:
            victim.consumer.revoke(self.group(victim.role).generation)
            self._join(victim)

    def died(self, process: Process) -> None:
        """Its group notices after a while; its supervisor starts another."""
        random, after = self.random, self.timeline.after
        after(random.uniform(0.5, 3.0), self._notice, process)
        after(random.uniform(0.2, 2.0), self._start, process.role)

    def stopped(self, process: Process) -> None:
        """It told its group; somebody is always there to go on."""
        self._notice(process)
        if not self._alive(process.role):
            self._start(process.role)

    def _notice(self, process: Process) -> None:
        group = self.group(process.role)
        if process in group.members:
            group.rebalance([m for m in group.members if m is not process], self.random)

    def _alive(self, role: Role) -> list[Process]:
        return [p for p in self.processes if p.role is role and not p.node.is_dead]

    # bounds

    def _watch(self) -> None:
        """Looked at every second: no queue is longer than there are NPCs."""
        for process in self._alive(Role.WRITER):
            if process.loop is None:
                continue
            standing = process.loop.standing()
            self.most_waiting = max(self.most_waiting, standing.waiting)
            self.most_unacked = max(self.most_unacked, len(process.agent._acks))
            if standing.waiting + standing.parked > 2 * len(self.game.npcs):
                self.trace.broke(f"{process.name} holds {standing} for {len(self.game.npcs)} NPCs")
            if standing.active > CONCURRENCY:
                self.trace.broke(f"{process.name} works on {standing.active} at the same time")
        self.timeline.after(1.0, self._watch)

    # peace

    def _peace(self, when: str) -> bool:
        """Faults end; whether everything gets done within the patience."""
        self.is_rough, self.npcs.is_quiet = False, True
        self.letta.failures = self.broker.failures = self.letta.outage_until = 0.0
        end = self.timeline.now + PATIENCE
        while self.timeline.now < end:
            self.timeline.run_until(self.timeline.now + 1.0)
            if self._is_done():
                return True
        self.trace.broke(f"{when}, work is left after {PATIENCE} s: {self._left()}")
        return False

    def _is_done(self) -> bool:
        return not self.letta.running and not any(self._left().values())

    def _left(self) -> dict[str, int]:
        left = {role.value: self._lag(role) for role in ROLES}
        for process in self._alive(Role.WRITER):
            if process.loop is not None:
                left[process.name] = sum(process.loop.standing())
            if not process.consumer.is_settled:
                left[process.name] = 1  # who is parked it does not know yet
        return left

    def _lag(self, role: Role) -> int:
        """Records that nobody has acked."""
        group = self.group(role)
        log = self.broker.log(group.topic)
        lag = 0
        for partition in range(PARTITIONS):
            owner = group.owners.get(partition)
            is_owned = owner is not None and not owner.node.is_dead
            acked = owner.consumer.acked.get(partition, -1) + 1 if owner and is_owned else 0
            done = max(group.committed.get(partition, 0), acked)
            lag += len(log.partitions[partition]) - done + (not is_owned)
        return lag

    # the promises

    def _glance(self) -> None:
        for npc_id in self.game.sights:
            self.game.report_again(npc_id, 3.0)
        if self._peace("after one more snapshot"):
            self._compare("after one more snapshot")

    def _compare(self, when: str, *, looks: bool = True) -> None:
        for npc_id in self.game.sights:
            windows = self.letta.excused.get(npc_id, set())
            for difference in self.game.differences(npc_id, looks=looks):
                if windows:
                    self.trace.fault(f"wrong {when}: {min(windows)}", npc_id, difference)
                else:
                    self.trace.broke(f"{when}, {difference}")

    def _refresh(self) -> None:
        for npc_id in self.game.sights:
            self.game.report_again(npc_id, SETTINGS.force_refresh_interval)
        if not self._peace("after the refresh"):
            return
        for npc_id in self.game.sights:
            for difference in self.game.differences(npc_id):
                self.trace.broke(f"after the refresh, {difference}")
            for lost in self.game.lost_notes(npc_id):
                self.trace.broke(f"after the refresh, {lost}")
