"""Blocks as they are found in the wild: what becomes of each, under both policies.

`corpus/NAME.txt` is the text of a block, `corpus/NAME.json` tells where such a text comes from, who
stands there by now, and the document expected, with what waits for its player in the stamp.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.settings import ConflictPolicy
from streams.writer.group import group_document
from streams.writer.merge import Rendered
from streams.writer.rules import Rules
from streams.writer.stamp import UNSTAMPED, Stamp
from streams.writer.status import status_document
from tests.writer.commands import ALICE, BOB, NOON, desired, stamp_after

FOLDER = Path(__file__).parent / "corpus"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
PEOPLE = {person.id: person for person in (ALICE, BOB)}
RENDER = {"group_members": group_document, "status": status_document}
OF_THE_GAME = {"name", "appearance"}


def case(name: str) -> tuple[str, Any]:
    """The text and what is noted about it."""
    text = (FOLDER / f"{name}.txt").read_bytes().decode()
    return text, orjson.loads((FOLDER / f"{name}.json").read_bytes())


def merged(theirs: str, noted: Any, stamp: Stamp, policy: ConflictPolicy, at: float) -> Rendered:
    group = desired(*(PEOPLE[who] for who in noted["group"]))
    return RENDER[noted["block"]](theirs, group, at, stamp, 5000, Rules(policy))


def stamp_of(noted: Any, policy: ConflictPolicy) -> Stamp:
    if not noted["stamped"]:
        return UNSTAMPED
    return stamp_after(merged("", noted, UNSTAMPED, policy, NOON))


@pytest.mark.parametrize("policy", ConflictPolicy)
@pytest.mark.parametrize("name", NAMES)
def test_a_block_from_the_wild_becomes_the_document_expected(
    name: str, policy: ConflictPolicy
) -> None:
    text, noted = case(name)

    rendered = merged(text, noted, stamp_of(noted, policy), policy, NOON + 3)

    expected = noted.get(f"expected_{policy}", noted["expected"])
    assert (expected, noted["absent"]) == (orjson.loads(rendered.value), rendered.absent)
    assert noted["conflicts"] == {c.path: c.by for c in rendered.conflicts}


@pytest.mark.parametrize("policy", ConflictPolicy)
@pytest.mark.parametrize("name", NAMES)
def test_it_settles_at_once(name: str, policy: ConflictPolicy) -> None:
    text, noted = case(name)
    first = merged(text, noted, stamp_of(noted, policy), policy, NOON + 3)

    again = merged(first.value, noted, stamp_after(first, NOON + 3), policy, NOON + 3)

    assert again.value == first.value
    assert not again.is_base_news
    assert [c for c in again.conflicts if c.kept == c.ours] == []


def test_the_corpus_is_not_small() -> None:
    assert len(NAMES) >= 40
