"""Who changed what we wrote: an agent that wrote an old copy back, or somebody else.

When a tool of an NPC's has run, Letta writes back every block as the agent held it when its request
began. So what stands there then is, in the game's part, what stood there before one of our last
writes. The stamp keeps the game's part of those values, not as text but as what told them apart
from the value that we wrote last: a short hash by fact, for the last `VERSIONS` writes.

    a fact: the name or the appearance of a member, or a field of the status

    what stands there                                     the facts that differ from our last write
    ----------------------------------------------------  -----------------------------------------
    all of an earlier value's game part                   written back
    the same, but for facts that no earlier value had so  those of the earlier value written back;
                                                          the new ones edited in the same step
    anything else                                         edited: a tool changed the text, another
                                                          program did, or the step began before the
                                                          values remembered here

So a write-back is never named where there was none but for a text written once more on purpose,
which nothing in Letta tells apart. Whether a text is to be trusted asks less: `seen_before`.
The order of members or fields does not matter, nor what the NPC wrote into fields of its own.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256

Facts = Mapping[str, str]
"""The game's part of a block: a short hash by fact. What is not there has no entry."""

ABSENT = ""

TEXT = ""
"""The fact that stands for a value in which nothing is told otherwise: its whole text. So a block
that a tool wrote anew in sentences is no write-back of what it held before our first write."""

VERSIONS = 8
"""Earlier values remembered. At most one write in three seconds: a step of half a minute."""

FACTS_LIMIT = 256
"""Hashes kept over all versions, some eight kilobytes of metadata; the oldest version goes."""

_HASH_LENGTH = 12
_REMEMBERED = 1024
"""Hashes: the same few facts are met in every look at a block."""


def facts_of(values: Mapping[str, object]) -> dict[str, str]:
    """The facts of a game part that we wrote. `values`: JSON values."""
    return {name: _hash(value) for name, value in values.items()}


def facts_found(values: Mapping[str, object], text: str) -> dict[str, str]:
    """The facts of a game part as found in a block, whose `text` may hold none."""
    return facts_of(values or {TEXT: text.strip()})


def changes(found: Facts, written: Facts) -> dict[str, str]:
    """What is told otherwise in `found`; ABSENT where it is not told at all."""
    names = dict.fromkeys((*found, *written))
    return {name: found.get(name, ABSENT) for name in names if found.get(name) != written.get(name)}


def written_back(changed: Facts, before: Iterable[Facts]) -> frozenset[str]:
    """The facts that an agent wrote back; the rules stand above. `changed`: since our last write.

    `before`: the earlier values, newest last, each as its changes from our last write.
    """
    versions = tuple(before)
    new = {name for name in changed if name != TEXT and _is_new(name, changed[name], versions)}
    for version in reversed(versions):
        same = frozenset(name for name in version if changed.get(name) == version[name])
        if same and new.union(same).issuperset({*changed, *version}):
            return same
    return frozenset()


def seen_before(changed: Facts, before: Iterable[Facts]) -> frozenset[str]:
    """The facts that stood so before one of our last writes, whatever stood beside them then.

    More than `written_back`: an agent may hold a value that we never wrote over as a whole.
    """
    versions = tuple(before)
    return frozenset(name for name in changed if not _is_new(name, changed[name], versions))


def remembered(
    before: Iterable[Facts], last: Facts, found: Facts, written: Facts
) -> tuple[dict[str, str], ...]:
    """The earlier values as seen from a new one, `written` over what was `found`.

    `last`: what we had written before, from which `before` tells the differences.
    """
    moved = {name: last.get(name, ABSENT) for name in changes(last, written)}
    versions = [_unlike({**moved, **version}, written) for version in before]
    # Two versions, where somebody edited in between: a step may have begun before or after that.
    versions += [moved, changes(found, written)] if last else [changes(found, written)]
    newest_first = [version for version in reversed(versions) if version]
    distinct = [v for n, v in enumerate(newest_first) if v not in newest_first[:n]][:VERSIONS]
    return tuple(reversed(_within_limit(distinct)))


def _is_new(name: str, fact: str, versions: Iterable[Facts]) -> bool:
    return all(fact != version.get(name) for version in versions)


def _unlike(version: Facts, written: Facts) -> dict[str, str]:
    return {name: was for name, was in version.items() if was != written.get(name, ABSENT)}


def _within_limit(newest_first: list[dict[str, str]]) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = []
    for version in newest_first:
        if sum(map(len, [*kept, version])) > FACTS_LIMIT:
            break
        kept.append(version)
    return kept


def _hash(value: object) -> str:
    return _hash_of_text(json.dumps(value))


@lru_cache(maxsize=_REMEMBERED)
def _hash_of_text(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
