"""Whatever an NPC does to its block between two writes of ours, what it wrote stays somewhere."""

import itertools
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.settings import ConflictPolicy
from streams.writer.budget import DoesNotFitError
from streams.writer.document import Document
from streams.writer.group import UPDATES_LIMIT, group_document
from streams.writer.members import MEMBERS
from streams.writer.rules import Rules
from streams.writer.stamp import UNSTAMPED
from streams.writer.status import FIELDS, status_document
from tests.writer.commands import ALICE, BOB, GRETA, NOON, desired, stamp_after
from topics.models import Member

ROOMY = 10**6
BY_NAME = Member(id="Carl", name="Carl")
CARL = Member(id="1003", name="Carl", appearance="Unknown")
OTHER_ALICE = Member(id="2001", name="Alice")
PEOPLE = (ALICE, BOB, GRETA, BY_NAME, CARL, OTHER_ALICE)
GROUPS = st.lists(st.sampled_from(PEOPLE), unique=True).map(tuple)
WHOM = st.sampled_from([*(p.id for p in PEOPLE), "unnamed_bob", "unnamed_carl", "greta", "ghost"])
TOKEN = re.compile(r"<\d+>")


class NpcAndGame(RuleBasedStateMachine):
    """One block; the game's commands and the NPC's tools take turns."""

    @initialize(start=st.sampled_from(["", "Nobody here.", '{"members":["Alice","Bob"]}']))
    def begin(self, start: str) -> None:
        self.value, self.stamp, self.before = start, UNSTAMPED, [start]
        self.time, self.numbers = NOON, itertools.count()

    @rule(group=GROUPS)
    def the_game_sends_a_command(self, group: tuple[Member, ...]) -> None:
        written = self.tokens()
        self.time += 3

        rendered = group_document(self.value, desired(*group), self.time, self.stamp, ROOMY)

        self.before.append(self.value)
        self.value = rendered.value
        self.stamp = stamp_after(rendered, self.time)
        assert written <= self.tokens()
        again = group_document(self.value, desired(*group), self.time + 1, self.stamp, ROOMY)
        assert again.value == self.value
        document = orjson.loads(self.value)
        assert {member.id for member in group} <= document[MEMBERS].keys()
        assert len(document["updates"]) <= UPDATES_LIMIT

    @rule(whom=WHOM, field=st.sampled_from(["notes", "mood", "name_of_cat"]))
    def the_npc_notes_something_about_somebody(self, whom: str, field: str) -> None:
        document = self.readable()
        entry = document.get(MEMBERS, {}).get(whom, {})
        noted = f"{entry.get(field, '')} {self.token()}".strip()
        members = {**document.get(MEMBERS, {}), whom: {**entry, field: noted}}
        self.value = orjson.dumps({**document, MEMBERS: members}).decode()

    @rule(whom=WHOM)
    def the_npc_writes_a_bare_text_for_somebody_new(self, whom: str) -> None:
        document = self.readable()
        members = {whom: self.token(), **document.get(MEMBERS, {})}
        self.value = orjson.dumps({**document, MEMBERS: members}).decode()

    @rule(field=st.sampled_from(["plan", "unsorted_notes", "players"]))
    def the_npc_adds_a_field(self, field: str) -> None:
        document = self.readable()
        self.value = orjson.dumps({field: [{"a": self.token()}], **document}).decode()

    @rule()
    def the_npc_appends_a_line(self) -> None:
        self.value += f"\n{self.token()}"

    @rule()
    def the_npc_inserts_a_line(self) -> None:
        self.value = f"{self.token()} {{}}\n{self.value}"

    @rule(share=st.floats(0, 1))
    def the_npc_breaks_the_text(self, share: float) -> None:
        at = int(len(self.value) * share)
        self.value = f'{self.value[:at]}" {self.token()}{self.value[at:]}'

    @precondition(lambda self: len(self.before) > 1)
    @rule(steps=st.integers(1, 5))
    def letta_writes_an_old_value_back(self, steps: int) -> None:
        self.value = self.before[-min(steps, len(self.before))]

    @invariant()
    def the_stamp_stays_small(self) -> None:
        assert len(self.stamp.gone) <= 50

    def token(self) -> str:
        return f"<{next(self.numbers)}>"

    def tokens(self) -> set[str]:
        return set(TOKEN.findall(self.value + orjson.dumps(self.stamp.absent).decode()))

    def readable(self) -> Document:
        """The document as a tool would see it, where it is one at all."""
        try:
            document = orjson.loads(self.value)
        except orjson.JSONDecodeError:
            document = orjson.loads(
                group_document(self.value, desired(), self.time, UNSTAMPED, ROOMY).value
            )
        found = document.get(MEMBERS) if isinstance(document, dict) else None
        entries = found if isinstance(found, dict) else {}
        if any(not isinstance(entry, dict) for entry in entries.values()):
            entries = {
                who: e if isinstance(e, dict) else {"notes": e} for who, e in entries.items()
            }
        if isinstance(found, list):
            entries = {str(item): {"name": item} for item in found}
        return {**document, MEMBERS: entries}


NpcAndGame.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
TestNpcAndGame = pytest.mark.filterwarnings("ignore")(NpcAndGame.TestCase)


leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8)
npc_names = st.text(max_size=6).filter(lambda name: name not in ("name", "appearance", *FIELDS))
npc_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(npc_names, inner, max_size=3),
    max_leaves=6,
)
entries = st.dictionaries(npc_names, npc_values, max_size=4)
GAME = ("members", "summary", "updates", "last_updated")


@settings(deadline=None)
@given(
    st.dictionaries(npc_names.filter(lambda name: name not in GAME), npc_values, max_size=4),
    st.dictionaries(st.sampled_from([p.id for p in PEOPLE]), entries, max_size=4),
)
def test_fields_of_the_npc_are_kept_as_they_are_while_their_people_come_and_go(
    fields: Document, members: Any
) -> None:
    block = orjson.dumps({MEMBERS: members, **fields}).decode()
    people = tuple(person for person in PEOPLE if person.id in members)
    here = group_document(block, desired(*people), NOON, UNSTAMPED, ROOMY)
    away = group_document(here.value, desired(), NOON + 3, stamp_after(here), ROOMY)

    back = group_document(away.value, desired(*people), NOON + 6, stamp_after(away), ROOMY)

    for rendered in (here, back):
        document = orjson.loads(rendered.value)
        assert {name: document[name] for name in fields} == fields
        for who, entry in members.items():
            said = {name: value for name, value in entry.items() if value not in ("", None, [], {})}
            assert {name: document[MEMBERS][who][name] for name in said} == said


@settings(deadline=None)
@given(
    st.dictionaries(npc_names.filter(lambda name: name not in GAME), npc_values, max_size=4),
    st.dictionaries(st.sampled_from(["1001", "npc-greta"]), entries, max_size=2),
    st.sampled_from(ConflictPolicy),
)
def test_fields_of_the_npc_stay_byte_for_byte_and_in_its_order(
    fields: Document, members: dict[str, Document], policy: ConflictPolicy
) -> None:
    def written(document: Document, names: Document) -> bytes:
        return orjson.dumps({name: value for name, value in document.items() if name in names})

    group, rules = desired(*(p for p in (ALICE, GRETA) if p.id in members)), Rules(policy)
    block = orjson.dumps({MEMBERS: members, **fields}).decode()
    first = group_document(block, group, NOON, UNSTAMPED, ROOMY, rules)

    later = group_document(
        first.value, desired(ALICE, GRETA), NOON, stamp_after(first), ROOMY, rules
    )

    for rendered in (first, later):
        document = orjson.loads(rendered.value)
        assert orjson.dumps(fields) == written(document, fields)
        for who, entry in members.items():
            own = {"notes": "", **entry}
            assert orjson.dumps(own) == written(document[MEMBERS][who], own)


@settings(deadline=None)
@given(st.text(), GROUPS)
def test_any_text_at_all_is_kept_and_settles_at_once(text: str, group: tuple[Member, ...]) -> None:
    first = group_document(text, desired(*group), NOON, UNSTAMPED, ROOMY)

    again = group_document(first.value, desired(*group), NOON + 3, stamp_after(first), ROOMY)

    assert again.value == first.value


@settings(deadline=None)
@given(st.text() | npc_values.map(lambda value: orjson.dumps(value).decode()))
def test_any_status_settles_at_once(text: str) -> None:
    first = status_document(text, desired(action="walking"), NOON, UNSTAMPED, ROOMY)

    again = status_document(
        first.value, desired(action="walking"), NOON + 3, stamp_after(first), ROOMY
    )

    assert again.value == first.value


@settings(deadline=None)
@given(
    st.lists(
        st.builds(Member, id=st.text(min_size=1), name=st.text(), appearance=st.text(max_size=900)),
        max_size=12,
        unique_by=lambda member: member.id,
    ),
    st.lists(st.text(), max_size=12),
    st.integers(200, 2500),
)
def test_the_budget_is_kept_or_refused_and_a_fitted_block_settles(
    members: Any, updates: list[str], limit: int
) -> None:
    theirs = orjson.dumps({MEMBERS: {}, "updates": updates, "diary": "d" * 300}).decode()
    group = desired(*members)
    try:
        first = group_document(theirs, group, NOON, UNSTAMPED, limit)
    except DoesNotFitError:
        bare = desired(*(Member(id=m.id, name=m.name) for m in members))
        room = group_document("", bare, NOON, UNSTAMPED, ROOMY).value
        assert len(room) > limit - 200
        return

    again = group_document(first.value, group, NOON + 3, stamp_after(first), limit)

    assert len(first.value) <= limit
    kept = first.value + "".join(str(piece.text) for piece in first.aside)
    assert sum(map(len, re.findall("d{9,}", kept))) >= 300 - 9 * (1 + len(first.aside))
    assert again.value == first.value
