"""How `rollcall verify` tells what it found."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from rich.table import Table

from ops.verification.asking import WELL, Fate, Verified
from ops.verification.states import Known
from ops.visible import visible

_SHOWN = 20
"""NPCs named of those who are silent, and of each fate that has no row of its own."""


def as_json(found: Sequence[Verified], states: Known) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        "verified": is_all_well(found),
        "counts": dict(Counter(str(one.fate) for one in found)),
        "npcs": [_npc(one) for one in found],
        "silent": silent_of(found, states),
        "damaged": states.damaged,
    }


def is_all_well(found: Iterable[Verified]) -> bool:
    """Whether every memory is as it should be."""
    return all(one.fate in WELL for one in found)


def table_of(found: Iterable[Verified]) -> Table | None:
    """A row for each NPC of which there is more to say than a count; None without any."""
    told = [one for one in found if one.fate is not Fate.UNCHANGED]
    if not told:
        return None
    table = Table(box=None, pad_edge=False)
    table.add_column("npc", overflow="fold")
    table.add_column("memory", no_wrap=True)
    table.add_column("details", overflow="fold")
    for one in sorted(told, key=lambda one: (list(Fate).index(one.fate), one.npc_id)):
        table.add_row(shown(one.npc_id), str(one.fate), details(one))
    return table


def details(one: Verified) -> str:
    """What was mended or why it was not; never a block's text."""
    result = one.result
    blocks = ", ".join(result.blocks) if result else ""
    paths = ", ".join(conflict.path for conflict in result.conflicts) if result else ""
    parts = (blocks, f"somebody had changed {paths}" if paths else "", one.why)
    return shown("; ".join(filter(None, parts)))


def sums(found: Iterable[Verified]) -> str:
    """One line."""
    counts = Counter(one.fate for one in found)
    told = [f"{counts[fate]:,} {fate}" for fate in Fate if counts[fate]]
    return f"{', '.join(told)}." if told else "There is no NPC to verify."


def silent_of(found: Iterable[Verified], states: Known) -> list[str]:
    """Those of the NPCs looked at whom nobody reports on."""
    asked = {one.npc_id for one in found}
    return [npc_id for npc_id in states.silent if npc_id in asked]


def silent(npc_ids: Collection[str]) -> str | None:
    """A line on those nobody reports on."""
    if not npc_ids:
        return None
    named = ", ".join(map(shown, list(npc_ids)[:_SHOWN]))
    more = ", ..." if len(npc_ids) > _SHOWN else ""
    return f"Silent, nobody has reported on them for long: {named}{more}."


def silence(timeout: float) -> str:
    """Why a running filter and writer may have left a request unanswered."""
    return (
        f"nobody answered within {timeout:g} s: the writer waits for Letta or has much to do "
        "(`rollcall check`), or the NPC's snapshots come without a key"
    )


def shown(text: str) -> str:
    """Foreign text for a terminal."""
    return visible(text.encode(errors="backslashreplace"), 400)


def _npc(one: Verified) -> dict[str, Any]:
    result = one.result
    return {
        "npc_id": one.npc_id,
        "fate": str(one.fate),
        "why": one.why,
        "blocks": list(result.blocks) if result else [],
        "conflicts": msgspec.to_builtins(result.conflicts) if result else [],
        "calls": result.calls if result else 0,
    }
