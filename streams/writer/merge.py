"""Who owns what in a memory block, and how two accounts of the same thing become one.

    field                                        owner  on a write
    -------------------------------------------  -----  --------------------------------------------
    group_members: summary, last_updated         game   rendered anew
    group_members: updates                       game   new lines first, what stood there after them
    members: who stands there                    game   from the command
    members.*: name                              game   from the command
    members.*: appearance                        game   from the command, unless empty or "Unknown":
                                                        these never overwrite a real one
    members.*: notes, any other field            NPC    kept as they are
    members: an entry the NPC made up            NPC    kept as it is; once the game names somebody
                                                        so, its fields move to the real entry
    members: an entry of ours, not there now     both   leaves; the NPC's part waits in the metadata
    status: current_location, current_action,    game   from the command, and from what stood there
            previous_location, movement_state           before
    every other field, at any depth              NPC    kept as it is

An entry is ours when the block's stamp says that we wrote it. In a block without our stamp it is
taken for one of an earlier integration of the game when it is plain text or has `name` and
`appearance`; such an entry waits in the metadata as a whole, since nobody knows who wrote it.

A field of the game's that somebody else changed since our last write is a `Conflict`, reported by
the result of every command that finds it. Which value stays:

    what somebody changed                        policy `game`   policy `npc`
    -------------------------------------------  --------------  -----------------------------------
    members.*: name, appearance;                 the game's      theirs, until the game says
    status: the four fields                                      something else of this field
    the same, to nothing or to what is no text   the game's      the game's
    the same, to a text that stood there before  the game's      the game's: nobody meant to, as far
      one of our last writes (`blame`)                           as the stamp remembers
    who stands there                             the game's      the game's: it sees who is there
    group_members: summary                       the game's      the game's, from the game's names

What stays with an NPC is never cut to make room, and is kept below the limits that the game's own
texts have. The base in the stamp is the game's value all the same.

`group_document` and `status_document` are merge(base, ours, theirs) -> (value, conflicts) for the
two blocks: base is the stamp's, ours the command's, theirs the block's text, and `Rendered` holds
both results beside what the next merge needs to know. They read no clock and no setting, and the
same arguments give the same bytes.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.settings import ConflictPolicy
from streams.writer.aside import Piece
from streams.writer.blame import Facts, changes, remembered, seen_before, written_back
from streams.writer.budget import ELLIPSIS
from streams.writer.document import Document, free_name, is_among
from topics.models import Conflict, Editor
from topics.text import fold

_EMPTY: tuple[object, ...] = ("", None, [], {})


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a block shall hold. `value` is the observed text itself where nothing has to change."""

    value: str
    base: Document
    """The game's part of `value`: what the next merge compares with."""
    conflicts: tuple[Conflict, ...] = ()
    absent: dict[str, Document] = field(default_factory=dict)
    """What the NPC wrote about those who are not here, by id."""
    aside: tuple[Piece, ...] = ()
    """What does not fit into the block, now and before, oldest first."""
    given_back: tuple[str, ...] = ()
    """Ids whose notes in the Table `notes` do not count any more; see `notes`."""
    gone: tuple[str, ...] = ()
    """Ids that we wrote once and that left, newest last."""
    kept: dict[str, str] = field(default_factory=dict)
    """Facts of `value` that are not the game's, by name; see `blame`."""
    before: tuple[dict[str, str], ...] = ()
    """Earlier values of the block, as `blame` remembers them."""
    own: Document = field(default_factory=dict)
    """The NPC's part of `value`: a write-back may take some of it; see `recall`."""
    replaced: tuple[str, ...] = ()
    """Hashes of the texts that our last writes replaced, newest last; see `recall`."""
    has_settled: bool = False
    """Nobody changed the block, and all that is new is that its NPC is on the way no more."""
    is_base_news: bool = False
    """The value stands already, and the game has come to say what it says: under the policy `npc`
    the next merge must know, or it would take a later change of the game's for none."""


class Claim(NamedTuple):
    """A field of the game's: what we wrote last, what the game says now, and what stands there."""

    base: object
    ours: object
    theirs: object


@dataclass(frozen=True, slots=True)
class Judge:
    """Who changed the game's part of one block, and whose value stays."""

    policy: ConflictPolicy
    last: Facts
    """As we wrote it last."""
    found: Facts
    before: tuple[dict[str, str], ...]
    stale: frozenset[str]
    """Facts that an agent's write-back made old again."""
    old: frozenset[str]
    """Facts that stood so before, these included: not news of anybody's, whoever wrote them."""

    @classmethod
    def over(
        cls, policy: ConflictPolicy, last: Facts, found: Facts, before: tuple[dict[str, str], ...]
    ) -> "Judge":
        """The judge of a block. `before`: its earlier values."""
        changed = changes(found, last)
        stale, old = written_back(changed, before), seen_before(changed, before)
        return cls(policy, last, found, before, stale, old)

    def author(self, fact: str) -> Editor:
        """Who changed this, given that somebody did."""
        return Editor.AGENT if fact in self.stale else Editor.OTHER

    def lets_stand(self, fact: str, claim: Claim, limit: int) -> bool:
        """Whether theirs stays; the rules stand above. `limit`: characters."""
        return (
            self.policy is ConflictPolicy.NPC
            and fact not in self.old
            and claim.theirs not in (claim.base, claim.ours)
            and isinstance(claim.theirs, str)
            and is_real(claim.theirs)
            and len(claim.theirs) <= limit
            and is_said_already(claim.ours, claim.base)
        )

    def remembers(self, written: Facts) -> tuple[dict[str, str], ...]:
        """The earlier values of the block, once this will have been written."""
        return remembered(self.before, self.last, self.found, written)


def npc_part(entry: Document, game_fields: Collection[str]) -> Document:
    """The fields of an entry that are the NPC's, in the NPC's order."""
    return {name: value for name, value in entry.items() if name not in game_fields}


def says_something(part: Document) -> bool:
    """Whether any field holds more than nothing."""
    return any(value not in _EMPTY for value in part.values())


def united(accounts: Iterable[Document]) -> Document:
    """All fields of several accounts of the same person. Of two texts that differ both stay, one
    below the other; of other values the later one under a free name.
    """
    whole: Document = {}
    for account in accounts:
        for name, value in account.items():
            whole = _with_field(whole, name, value)
    return whole


def is_real(appearance: object) -> bool:
    """Whether this says anything about how somebody looks."""
    return isinstance(appearance, str) and fold(appearance) not in ("", "unknown")


def is_said_already(ours: object, base: object) -> bool:
    """Whether the game says what it said: we may have written that shorter than it is."""
    if isinstance(ours, str) and isinstance(base, str) and base.endswith(ELLIPSIS):
        return ours == base or ours.startswith(base.removesuffix(ELLIPSIS))
    return ours == base


def is_base_news(policy: ConflictPolicy, base: Document | None, ours: Document) -> bool:
    """Whether the game says other than we noted. Matters where what stands there may stay."""
    return policy is ConflictPolicy.NPC and base is not None and base != ours


def conflict_over(path: str, claim: Claim, kept: object, by: Editor) -> list[Conflict]:
    """The conflict, if there is one: somebody changed a field of ours, and to something else."""
    if claim.theirs in (claim.base, claim.ours):
        return []
    return [Conflict(path=path, **claim._asdict(), kept=kept, by=by)]


def _with_field(whole: Document, name: str, value: object) -> Document:
    present = whole.get(name)
    if name not in whole or present in _EMPTY:
        return {**whole, name: value}
    if isinstance(present, str) and isinstance(value, str):
        return {**whole, name: _both_texts(present, value)}
    is_known = value in _EMPTY or is_among(value, _variants(whole, name))
    return whole if is_known else {**whole, free_name(whole, name): value}


def _both_texts(first: str, second: str) -> str:
    if second in first:
        return first
    return second if first in second else f"{first}\n{second}"


def _variants(whole: Document, name: str) -> list[object]:
    return [value for key, value in whole.items() if key == name or key.startswith(f"{name} (")]
