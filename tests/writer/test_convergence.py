"""Whatever game, NPC and Letta do to a block in whatever order, one quiet command settles it.

The writer's protocol on one block, step by step: it reads, somebody may edit before it writes, an
agent may write back what it held when its step began, with or without edits of its own, and older
commands come again. Values of the game's are `g1`, `g2` and so on, those of the NPC's `n1`, so that
each text tells who wrote it: an old `g` that stays is a write-back nobody repaired.
"""

import itertools
from typing import Any, ClassVar

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from streams.settings import ConflictPolicy
from streams.writer.group import group_document
from streams.writer.merge import Rendered
from streams.writer.rules import Rules
from streams.writer.stamp import is_outdated, mark_of, read_stamp, stamped
from streams.writer.status import status_document
from tests.writer.commands import NOON, command
from topics.models import Editor, Member, UpdateCommand

WHO = ("1001", "1002", "1003")
FIELDS = ("name", "appearance")


class Scene(RuleBasedStateMachine):
    """One block. `held`: what the agent has in hand since its step began."""

    policy: ClassVar[ConflictPolicy]

    @initialize(start=st.sampled_from(["", "Nobody here.", '{"diary":"d"}']))
    def begin(self, start: str) -> None:
        self.value, self.metadata = start, dict[str, Any]()
        self.numbers, self.notes = itertools.count(1), set[str]()
        self.held: str | None = None
        self.writes_held = 0
        self.log: list[UpdateCommand] = []
        self.game_says()

    # what the two blocks do differently

    def say(self, number: int, data: Any) -> UpdateCommand:
        raise NotImplementedError

    def render(self, value: str, wanted: UpdateCommand) -> Rendered:
        raise NotImplementedError

    def texts(self, value: str) -> dict[str, Any]:
        """The fields of the game's that may be in dispute, by path."""
        raise NotImplementedError

    def retold(self, value: str, path: str, text: str) -> str:
        raise NotImplementedError

    def paths(self, value: str) -> list[str]:
        try:
            return sorted(self.texts(value))
        except (orjson.JSONDecodeError, KeyError, AttributeError):
            return []

    # the writer

    def game_says(self, data: Any = None) -> None:
        self.log.append(self.say(next(self.numbers), data))

    def write(self, wanted: UpdateCommand, *, between: str | None = None) -> Rendered | None:
        """One pass of the writer. `between`: what somebody made of the block meanwhile."""
        stamp = read_stamp(self.metadata)
        if is_outdated(mark_of(wanted), stamp):
            return None
        rendered = self.render(self.value, wanted)
        if between is not None:
            self.value = between
        if rendered.value != self.value or rendered.is_base_news:
            self.value = rendered.value
            metadata = stamped(self.metadata, rendered, mark_of(wanted))
            self.metadata = orjson.loads(orjson.dumps(metadata))
            self.writes_held += 1
        return rendered

    @rule(data=st.data())
    def the_game_says_something_and_the_writer_writes(self, data: st.DataObject) -> None:
        self.game_says(data)
        self.write(self.log[-1])

    @rule(age=st.integers(1, 6))
    def an_older_command_comes_again(self, age: int) -> None:
        self.write(self.log[-min(age, len(self.log))])

    @rule(data=st.data())
    def somebody_edits_between_read_and_write(self, data: st.DataObject) -> None:
        lost = self.edited(self.value, data)
        self.game_says(data)
        self.write(self.log[-1], between=lost)

    # the NPC

    def edited(self, value: str, data: st.DataObject) -> str:
        paths = self.paths(value)
        if not paths:
            return value
        path = data.draw(st.sampled_from(paths))
        return self.retold(value, path, f"n{next(self.numbers)}")

    @rule(data=st.data())
    def a_tool_edits_a_field_of_the_games(self, data: st.DataObject) -> None:
        self.value = self.edited(self.value, data)

    @rule()
    def a_tool_appends_a_line(self) -> None:
        note = f"<{next(self.numbers)}>"
        self.notes.add(note)
        self.value += f"\n{note}"

    @rule()
    def a_step_begins(self) -> None:
        self.held, self.writes_held = self.value, 0

    @precondition(lambda self: self.held is not None and self.writes_held <= 4)
    @rule(data=st.data(), is_edited=st.booleans(), line=st.sampled_from(["", "\nbrief"]))
    def its_tool_writes_back_what_it_held(
        self, data: st.DataObject, is_edited: bool, line: str
    ) -> None:
        assert self.held is not None
        self.notes = {note for note in self.notes if note in self.held}
        self.value = (self.edited(self.held, data) if is_edited else self.held) + line
        self.held = None
        self.settles()

    # what has to hold

    @rule()
    def settles(self) -> None:
        """The newest command, alone, and once more."""
        wanted = self.log[-1]
        found, base = self.value, read_stamp(self.metadata).base
        first = self.write(wanted)
        assert first is not None
        settled = self.value
        second = self.write(wanted)

        assert second is not None
        assert (second.value, second.is_base_news) == (settled, False)
        assert [c for c in second.conflicts if c.kept == c.ours] == []
        self.has_the_right_texts(settled, self.texts(self.render("", wanted).value))
        assert all(note in settled for note in self.notes)
        if base is not None and base == first.base and self.moved(found, settled):
            assert first.conflicts
        assert all(isinstance(c.by, Editor) for c in first.conflicts)

    def moved(self, found: str, settled: str) -> bool:
        return bool(self.paths(found)) and self.texts(found) != self.texts(settled)

    def has_the_right_texts(self, settled: str, ours: dict[str, Any]) -> None:
        texts = self.texts(settled)
        assert texts.keys() == ours.keys()
        for path, text in texts.items():
            is_theirs = self.policy is ConflictPolicy.NPC and str(text).startswith("n")
            assert is_theirs or text == ours[path], path

    @rule(data=st.data())
    def an_edit_in_quiet_is_kept_as_the_policy_says_and_told(self, data: st.DataObject) -> None:
        self.settles()
        paths = self.paths(self.value)
        if not paths:
            return
        path, text = data.draw(st.sampled_from(paths)), f"n{next(self.numbers)}"
        self.value = self.retold(self.value, path, text)

        rendered = self.write(self.log[-1])

        assert rendered is not None
        assert (self.texts(self.value)[path] == text) is (self.policy is ConflictPolicy.NPC)
        told = [c for c in rendered.conflicts if c.path.endswith(path)]
        assert [(c.theirs, c.by) for c in told] == [(text, Editor.OTHER)]


class GroupScene(Scene):
    def say(self, number: int, data: Any) -> UpdateCommand:
        whom = data.draw(st.sets(st.sampled_from(WHO))) if data else set(WHO[:1])
        before = {m.id: m for m in self.log[-1].desired.members} if self.log else {}
        changed = data.draw(st.sets(st.sampled_from(WHO))) if data else set()
        members = [
            before[who]
            if who in before and who not in changed
            else Member(id=who, name=f"g{number}-{who}", appearance=f"g{number} looks")
            for who in sorted(whom)
        ]
        return command(*members, offset=number, observed_at=NOON + number)

    def render(self, value: str, wanted: UpdateCommand) -> Rendered:
        stamp = read_stamp(self.metadata if value else {})
        return group_document(
            value, wanted.desired, wanted.observed_at, stamp, 10**6, Rules(self.policy)
        )

    def texts(self, value: str) -> dict[str, Any]:
        members = orjson.loads(value)["members"]
        return {f"{who}.{name}": m[name] for who, m in members.items() for name in FIELDS}

    def retold(self, value: str, path: str, text: str) -> str:
        document = orjson.loads(value)
        who, name = path.split(".")
        document["members"][who][name] = text
        return orjson.dumps(document).decode()


class StatusScene(Scene):
    def say(self, number: int, data: Any) -> UpdateCommand:
        before = self.log[-1].desired if self.log else None
        is_new = data.draw(st.tuples(st.booleans(), st.booleans())) if data else (True, True)
        location = f"g{number} place" if is_new[0] or not before else before.location
        action = f"g{number} doing" if is_new[1] or not before else before.action
        return command(location=location, action=action, offset=number, observed_at=NOON + number)

    def render(self, value: str, wanted: UpdateCommand) -> Rendered:
        stamp = read_stamp(self.metadata if value else {})
        return status_document(
            value, wanted.desired, wanted.observed_at, stamp, 10**6, Rules(self.policy)
        )

    def texts(self, value: str) -> dict[str, Any]:
        document = orjson.loads(value)
        return {name: document[name] for name in ("current_location", "current_action")}

    def retold(self, value: str, path: str, text: str) -> str:
        return orjson.dumps({**orjson.loads(value), path: text}).decode()


class GroupUnderGame(GroupScene):
    policy = ConflictPolicy.GAME


class GroupUnderNpc(GroupScene):
    policy = ConflictPolicy.NPC


class StatusUnderGame(StatusScene):
    policy = ConflictPolicy.GAME


class StatusUnderNpc(StatusScene):
    policy = ConflictPolicy.NPC


for machine in (GroupUnderGame, GroupUnderNpc, StatusUnderGame, StatusUnderNpc):
    machine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)

TestGroupUnderGame = GroupUnderGame.TestCase
TestGroupUnderNpc = GroupUnderNpc.TestCase
TestStatusUnderGame = StatusUnderGame.TestCase
TestStatusUnderNpc = StatusUnderNpc.TestCase
