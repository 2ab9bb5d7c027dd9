"""A small town, what it reports, and what each NPC's memory must say in the end.

What must be said is worked out from the newest snapshot, the roster and the profiles, without any
code of the filter or the writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from tests.simulation.kafka import partition_of
from tests.simulation.letta import GROUP, STATUS, Stored
from topics.catalogue import LOCATIONS, NPC_ROSTER, NPC_SNAPSHOTS, PLAYER_PROFILES

if TYPE_CHECKING:
    from tests.simulation.world import World

CADENCE = 2.5
PLACES = {"market": "Market Square", "gate": "North Gate", "mill": "Old Mill"}
ACTIONS = ("idle", "walking", "selling bread")
PLAYERS = {"1001": "Alice", "1002": "Bob", "1003": "Carl"}
BY_NAME = {"2001": "Dora", "2002": "Egon"}
"""Players whom snapshots name, and of whom nothing but a profile tells the id."""


@dataclass(slots=True)
class Sight:
    """What stands around one NPC."""

    players: list[str]
    named: list[str]
    npcs: list[str]
    place: str
    action: str
    observed_at: float = 0.0


@dataclass(slots=True)
class Npc:
    """One NPC of the roster."""

    npc_id: str
    name: str
    description: str
    agent_id: str
    is_listed: bool
    """The roster has its agent id; else the tag tells it."""


@dataclass(slots=True)
class Game:
    """Publishes snapshots, profiles and roster changes; keeps the truth."""

    world: World
    npcs: dict[str, Npc] = field(default_factory=dict)
    sights: dict[str, Sight] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    """Descriptions by player id, of those with a profile."""
    published: int = 0
    last_reports: dict[str, float] = field(default_factory=dict)
    """When each NPC is seen for the last time."""

    @property
    def random(self) -> Random:
        return self.world.random

    def found(self, count: int) -> None:
        """The town comes to be."""
        for slug, name in PLACES.items():
            self._publish(LOCATIONS, slug, {"slug": slug, "name": name, "coordinates": [0, 0, 0]})
        for number in range(count):
            npc_id = f"npc-{number}"
            is_listed = self.random.random() < 0.7
            self.npcs[npc_id] = Npc(
                npc_id, f"Npc{number}", "old coat", f"agent-{number}", is_listed
            )
            self.list_npc(npc_id)
            self._plan_agent(self.npcs[npc_id])

    def _plan_agent(self, npc: Npc) -> None:
        """Most agents are there; one comes late."""
        first = self.random.choice(("", "Nobody here.", '{"players": {"1001": "met <0> him"}}'))
        blocks = {GROUP: first, STATUS: ""} if self.random.random() < 0.8 else {}
        delay = self.random.uniform(2, 12) if self.random.random() < 0.12 else 0.0
        self.world.timeline.after(
            delay, self.world.letta.add_agent, npc.npc_id, npc.agent_id, blocks
        )

    def list_npc(self, npc_id: str) -> None:
        npc = self.npcs[npc_id]
        entry = {"npc_id": npc_id, "name": npc.name, "description": npc.description}
        agent = {"agent_id": npc.agent_id} if npc.is_listed else {}
        self._publish(NPC_ROSTER, npc_id, {**entry, **agent})

    def plan(self, seconds: float) -> None:
        """Everything the game will do in that time."""
        after = self.world.timeline.after
        for npc_id in self.npcs:
            start = self.random.uniform(0.3, CADENCE)
            for number in range(int(seconds / CADENCE)):
                at = start + number * CADENCE + self.random.uniform(-0.2, 0.2)
                after(at, self.report, npc_id)
                self.last_reports[npc_id] = at
        for player_id in {**PLAYERS, **BY_NAME}:
            for _ in range(self.random.choice((0, 1, 1, 2))):
                after(self.random.uniform(0, seconds), self.describe, player_id)
        if self.random.random() < 0.5:
            who = self.random.choice(list(self.npcs))
            after(self.random.uniform(0, seconds), self.redress, who)

    def report(self, npc_id: str) -> None:
        """One snapshot; now and then it comes twice, or one from a while ago comes after it."""
        before = self.sights.get(npc_id)
        sight = self._changed(npc_id, before) if before else self._any(npc_id)
        sight.observed_at = self.world.timeline.now
        self.sights[npc_id] = sight
        self._send(npc_id, sight)
        if self.random.random() < 0.05:
            self._send(npc_id, sight)
        if before is not None and self.random.random() < 0.05:
            self._send(npc_id, before)

    def report_again(self, npc_id: str, later: float) -> None:
        """The same sight, seen so many seconds later."""
        sight = self.sights[npc_id]
        sight.observed_at += later
        self._send(npc_id, sight)

    def describe(self, player_id: str) -> None:
        """A profile arrives."""
        name = PLAYERS.get(player_id) or BY_NAME[player_id]
        text = self.random.choice(("", "Unknown", f"look {self.random.randrange(1000)}"))
        if text.startswith("look"):
            self.profiles[player_id] = text
        self.profiles.setdefault(player_id, "")
        value = {"player_id": player_id, "name": name, "description": text}
        self._publish(PLAYER_PROFILES, player_id, value)
        self.world.trace.say("game", f"{name} looks like {text!r}")

    def redress(self, npc_id: str) -> None:
        """An NPC looks different."""
        self.npcs[npc_id].description = f"coat {self.random.randrange(1000)}"
        self.list_npc(npc_id)
        self.world.trace.say("game", f"{npc_id} wears {self.npcs[npc_id].description}")

    def _any(self, npc_id: str) -> Sight:
        random = self.random
        others = [npc for npc in self.npcs if npc != npc_id]
        return Sight(
            players=[p for p in PLAYERS if random.random() < 0.4],
            named=[p for p in BY_NAME if random.random() < 0.25],
            npcs=[npc for npc in others if random.random() < 0.3],
            place=random.choice(list(PLACES)),
            action=random.choice(ACTIONS),
        )

    def _changed(self, npc_id: str, before: Sight) -> Sight:
        kind, new = self.random.random(), self._any(npc_id)
        place, action = before.place, before.action
        players, named, npcs = before.players, before.named, before.npcs
        if kind < 0.3:
            players, named, npcs = new.players, new.named, new.npcs
        elif kind < 0.42:
            place = new.place
        elif kind < 0.5:
            action = new.action
        return Sight(players, named, npcs, place, action)

    def _send(self, npc_id: str, sight: Sight) -> None:
        names = [PLAYERS[p] for p in sight.players] + [BY_NAME[p] for p in sight.named]
        self._publish(
            NPC_SNAPSHOTS,
            npc_id,
            {
                "npc_id": npc_id,
                "observed_at": self.world.epoch + sight.observed_at,
                "cluster": [*names, *(self.npcs[npc].name for npc in sight.npcs)],
                "nearby_players": [{"id": p, "name": PLAYERS[p]} for p in sight.players],
                "location": sight.place,
                "action": sight.action,
            },
        )
        self.published += 1
        say = f"{npc_id} with {names + sight.npcs} at {sight.place}, {sight.action}"
        self.world.trace.say("game", f"{say}, seen at {sight.observed_at:.3f}")

    def _publish(self, topic: str, key: str, value: dict[str, Any]) -> None:
        raw = key.encode()
        self.world.broker.append(topic, raw, orjson.dumps(value), partition_of(raw))

    # the truth

    def members(self, npc_id: str) -> dict[str, tuple[str, str]]:
        """Name and appearance by id, of those who stand with an NPC."""
        sight = self.sights[npc_id]
        known = {p: (PLAYERS[p], self.profiles.get(p, "")) for p in sight.players}
        for player_id in sight.named:
            who = player_id if player_id in self.profiles else BY_NAME[player_id]
            known[who] = (BY_NAME[player_id], self.profiles.get(player_id, ""))
        for npc in sight.npcs:
            known[npc] = (self.npcs[npc].name, self.npcs[npc].description)
        return known

    def differences(self, npc_id: str, *, looks: bool = True) -> Iterator[str]:
        """A sentence for each thing in which an NPC's memory is not what it must be.

        Without `looks` it need not know the ids and appearances that profiles tell.
        """
        npc, sight = self.npcs[npc_id], self.sights[npc_id]
        blocks = self.world.letta.agents.get(npc.agent_id, {})
        if GROUP not in blocks or STATUS not in blocks:
            yield f"{npc_id}: has only the blocks {sorted(blocks)}"
            return
        group, status = _object(blocks[GROUP]), _object(blocks[STATUS])
        yield from self._wrong_members(npc_id, group) if looks else ()
        yield from self._wrong_names(npc_id, group)
        wanted = {"current_location": PLACES[sight.place], "current_action": sight.action}
        for name, value in wanted.items():
            if status.get(name) != value:
                yield f"{npc_id}: {name} is {status.get(name)!r}, not {value!r}"

    def _wrong_members(self, npc_id: str, group: dict[str, Any]) -> Iterator[str]:
        wanted = self.members(npc_id)
        found = group.get("members")
        entries = found if isinstance(found, dict) else {}
        shown = {
            who: (entry.get("name"), entry.get("appearance")) if isinstance(entry, dict) else entry
            for who, entry in entries.items()
            if not who.startswith("ghost")
        }
        if shown != wanted:
            yield f"{npc_id}: members are {shown}, not {wanted}"

    def _wrong_names(self, npc_id: str, group: dict[str, Any]) -> Iterator[str]:
        summary = str(group.get("summary", "")).removeprefix("Current members: ")
        names = sorted(name for name, _ in self.members(npc_id).values()) or ["none"]
        if sorted(summary.split(", ")) != names:
            yield f"{npc_id}: summary is {summary!r}, not of {names}"

    def lost_notes(self, npc_id: str) -> Iterator[str]:
        """Notes that should be there, or with a member who is there."""
        wanted = self.members(npc_id)
        for block in self.world.letta.agents.get(self.npcs[npc_id].agent_id, {}).values():
            text = block.text() + self.world.letta.shelf.text(block)
            members = _object(block).get("members") or {}
            for token in block.tokens:
                about = self.world.npcs.about.get(token)
                if token in block.reverted:
                    self.world.trace.fault("note lost: reverse clobber", npc_id, token)
                elif token not in text:
                    yield f"{npc_id}: note {token} is gone"
                elif about in wanted and token not in json.dumps(members.get(about)):
                    yield f"{npc_id}: note {token} on {about} did not come back"


def _object(block: Stored) -> dict[str, Any]:
    start = block.value.find("{")
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(block.value, start)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
