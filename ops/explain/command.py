"""`rollcall explain`: options and output; the rest is beside it."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Self

import click
from rich.console import Console

from ops.explain.account import Account, Fate, accounts
from ops.explain.looking import Told, looks
from ops.explain.reading import REACH, Reader
from ops.explain.view import document, lines
from ops.failure import Failure
from ops.moment import Moment, iso
from ops.npc_id import NpcId
from streams.filter.decide import Policy
from streams.settings import Settings
from topics.connection import KafkaConnection

DEFAULT_REACH = 3600.0
"""Seconds looked back without --since."""

CADENCE = 6.0
"""Seconds looked back first for each snapshot wanted: a game tells of an NPC every three."""

_LED_TO_NOTHING = frozenset({Fate.SUPPRESSED, Fate.UNKNOWN})

PAUSE = 2.0
"""Seconds between two looks with --follow."""


@click.command()
@click.argument("npc_id", metavar="NPC", type=NpcId())
@click.option("--since", type=Moment(), help="Only snapshots since then. Default: an hour ago.")
@click.option(
    "--last",
    "count",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Only the newest N snapshots.",
)
@click.option("--sent", "only_sent", is_flag=True, help="Leave out those that led to nothing.")
@click.option("--follow", is_flag=True, help="Go on with new ones until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow a line each.")
def explain(
    npc_id: str, since: float | None, count: int, only_sent: bool, follow: bool, as_json: bool
) -> None:
    """Why an NPC's memory is as it is: each snapshot, and what became of it.

    For each one: whether a command was sent and why, or why not; what differed; when the command
    was issued and when the memory had it; how many Letta calls that took. All of it comes from the
    topics, so it works after the fact and on another machine, as long as the records stand there.

    Why nothing was sent is told by the filter's own rules under the settings of this environment,
    with the roster, locations and profiles of now.
    """
    if follow:
        asyncio.run(_follow(npc_id, as_json=as_json, only_sent=only_sent))
        return
    begin = time.time() - DEFAULT_REACH if since is None else since
    found = asyncio.run(_newest(npc_id, begin, count, only_sent=only_sent))
    if not found:
        raise Failure(f"no snapshot of {npc_id} has come since {iso(begin)}.")
    if as_json:
        click.echo(json.dumps([document(one) for one in found], indent=2))
    else:
        _print(found)


def _wanted(found: Sequence[Account], only_sent: bool) -> list[Account]:
    return [one for one in found if not only_sent or one.fate not in _LED_TO_NOTHING]


async def _newest(npc_id: str, since: float, count: int, *, only_sent: bool) -> list[Account]:
    """The newest so many; most often a short look back finds them."""
    asked = await _Asked.about(npc_id)
    for begin in looks(since, time.time(), CADENCE * count):
        found = await asked.accounts(begin)
        # What the first one met is not known: it stood on the topics before.
        wanted = _wanted(found if begin == since else found[1:], only_sent)
        if len(wanted) >= count:
            break
    return wanted[-count:]


class _Asked:
    """An NPC asked about, under the settings of this environment."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader = reader
        self._policy, self._settle = Policy.of(settings), settings.settle_seconds

    @classmethod
    async def about(cls, npc_id: str) -> Self:
        settings = Settings()
        before = 1.5 * settings.force_refresh_interval + REACH
        asked = cls(Reader(KafkaConnection.from_environment(), npc_id, before), settings)
        await asked._reader.begin()
        return asked

    async def accounts(self, since: float) -> list[Account]:
        """All snapshots since then."""
        evidence = await self._reader.read(since)
        return list(accounts(evidence, self._policy, self._settle))


async def _follow(npc_id: str, *, as_json: bool, only_sent: bool) -> None:
    """Each snapshot once what became of it is known, or has been waited for long enough."""
    asked, told = await _Asked.about(npc_id), Told(time.time() - PAUSE)
    while True:
        found = await asked.accounts(told.since)
        for one in _wanted(told.take(found, time.time()), only_sent):
            if as_json:
                click.echo(json.dumps(document(one)))
            else:
                _print([one])
        await asyncio.sleep(PAUSE)


def _print(found: Sequence[Account]) -> None:
    console = Console(highlight=False)
    for one in found:
        for line in lines(one):
            console.print(line, soft_wrap=True)
