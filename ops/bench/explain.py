"""`rollcall bench explain`: how long an answer about one NPC among many takes.

A town's snapshots of some time past, with the filter's commands and a result for each, stand on
topics of their own. Only the partition of the NPC asked for is filled: explain reads no other.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
import orjson
from rich.table import Table

from ops.bench.options import json_option, seed_option
from ops.demo.game import Record, World
from ops.demo.play import timeline
from ops.demo.servers import ensure_kafka_alone, new_run
from ops.demo.town import Town, build_town, told_of_by_npc
from ops.demo.view import open_console
from ops.embedded.progress import Progress, shown_progress
from ops.failure import Failure
from ops.topics_admin import apply, delete_all
from streams.filter import core
from streams.filter.core import GroupFilter
from streams.filter.decide import Policy
from streams.filter.players import PlayerCache
from streams.filter.state import GroupState
from streams.home import home_of
from topics.catalogue import (
    LOCATIONS,
    NPC_ROSTER,
    NPC_SNAPSHOTS,
    NPC_UPDATE_COMMANDS,
    NPC_UPDATE_RESULTS,
    PLAYER_PROFILES,
)
from topics.connection import KafkaConnection
from topics.decode import decode_snapshot
from topics.encode import encode, encode_key
from topics.models import Outcome, Source, UpdateCommand, UpdateResult
from topics.places import Places
from topics.producer import Producer
from topics.roster import Roster

_LETTA_TOOK = 0.2
"""Seconds from a command to its result, in the records that stand for a writer's."""

_PATIENCE = 3600.0
"""Seconds that writing the records may take: the newest are as old by then."""


class Question(NamedTuple):
    """What is asked of `rollcall explain`, besides the NPC."""

    name: str
    options: tuple[str, ...]


class Answer(NamedTuple):
    """What came of a question; `seconds` with the start of the program."""

    question: str
    snapshots: int
    seconds: float


@click.command()
@click.option("--npcs", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--minutes", type=click.FloatRange(1), default=60, show_default=True)
@click.option("--asked", type=click.IntRange(1), default=3, show_default=True, help="NPCs asked.")
@seed_option
@json_option
def explain(npcs: int, minutes: float, asked: int, seed: int, json_file: Path | None) -> None:
    """How long `rollcall explain` takes to answer for one NPC among many."""
    with ExitStack() as stack:
        progress = stack.enter_context(shown_progress())
        servers = ensure_kafka_alone(stack, progress)
        connection = servers.connection(f"{new_run('explain')}-")
        past = Past(told_of_by_npc(build_town(npcs, seed)), seed, 60 * minutes)
        answers = asyncio.run(_measure(connection, past, asked, progress))
    if json_file is not None:
        figures = {"records": past.sent, "answers": [one._asdict() for one in answers]}
        json_file.write_text(json.dumps(figures, indent=2))
    open_console().print(_drawn(answers, past))


@dataclass(slots=True)
class Past:
    """What a game and a filter have left on the topics; `seconds` of it, until now."""

    town: Town
    seed: int
    seconds: float
    sent: int = 0
    npc_ids: list[str] = field(default_factory=list)
    """Those of the partition that is filled."""

    def __post_init__(self) -> None:
        partition = home_of(next(iter(self.town.npcs)))
        self.npc_ids = [one for one in self.town.npcs if home_of(one) == partition]

    def snapshots(self) -> Iterator[Record]:
        """Those of the partition, as they come."""
        ours = frozenset(self.npc_ids)
        for record in timeline(World(self.town, self.seed), self.seconds):
            if record.topic == NPC_SNAPSHOTS and record.key in ours:
                yield record


class _Filter:
    """The commands that snapshots lead to, in virtual time."""

    def __init__(self, town: Town) -> None:
        players = PlayerCache(float("inf"))
        for profile in town.profiles_at_start().values():
            players.learn(profile, 0.0)
        world = core.World(Roster(town.npcs.values()), Places(town.places.values()), players)
        self._states: dict[str, GroupState] = {}
        self._core = GroupFilter(world, Policy(), npcs=lambda: len(self._states))

    def command(self, key: bytes, value: bytes, at: float, source: Source) -> UpdateCommand | None:
        snapshot = decode_snapshot(key, value, at)
        state = self._states.get(snapshot.npc_id)
        seen = self._core.observe(snapshot, state, source, at)
        if seen.state is not None:
            self._states[snapshot.npc_id] = seen.state
        return seen.command


async def _measure(
    connection: KafkaConnection, past: Past, asked: int, progress: Progress
) -> list[Answer]:
    await apply(connection)
    try:
        await _fill(connection, past, progress)
        step = max(1, len(past.npc_ids) // asked)
        answers = []
        for npc_id in past.npc_ids[::step][:asked]:
            for question in _questions(past):
                progress.step(f"Asking for {npc_id}, {question.name}", None)
                answers.append(await asyncio.to_thread(_answer, connection, npc_id, question))
        return answers
    finally:
        await delete_all(connection)


def _questions(past: Past) -> Iterator[Question]:
    everything = f"{past.seconds + _PATIENCE:.0f}s"
    yield Question("the last 20 snapshots", ())
    yield Question("all snapshots", ("--since", everything, "--last", "1000000"))


async def _fill(connection: KafkaConnection, past: Past, progress: Progress) -> None:
    began = time.time() - past.seconds
    async with Producer(**connection.client_options(), linger_ms=20) as producer:

        async def send(name: str, key: bytes, value: bytes, at: float) -> Any:
            past.sent += 1
            topic, moment = connection.topic(name), int(at * 1000)
            return await producer.send(topic, value, key, timestamp_ms=moment)

        await _fill_reference(send, past.town, began)
        filtered = _Filter(past.town)
        topic = connection.topic(NPC_SNAPSHOTS)
        for told, record in enumerate(past.snapshots()):
            at = began + record.at
            key, value = encode_key(record.key), orjson.dumps(record.stamped(round(at, 3)))
            source = Source(topic=topic, partition=home_of(record.key), offset=told)
            await send(NPC_SNAPSHOTS, key, value, at)
            if command := filtered.command(key, value, at, source):
                await send(NPC_UPDATE_COMMANDS, key, encode(command), at)
                result = encode(_applied(command))
                await send(NPC_UPDATE_RESULTS, key, result, at + _LETTA_TOOK)
            if told % 10_000 == 0:
                progress.step(f"Writing {told:,} snapshots", record.at / past.seconds)
        await producer.flush()


async def _fill_reference(send: Any, town: Town, at: float) -> None:
    for entry in town.npcs.values():
        await send(NPC_ROSTER, encode_key(entry.npc_id), encode(entry), at)
    for place in town.places.values():
        await send(LOCATIONS, encode_key(place.slug), encode(place), at)
    for profile in town.profiles_at_start().values():
        await send(PLAYER_PROFILES, encode_key(profile.player_id), encode(profile), at)


def _applied(command: UpdateCommand) -> UpdateResult:
    return UpdateResult(
        command_id=command.command_id,
        npc_id=command.npc_id,
        reason=command.reason,
        outcome=Outcome.APPLIED,
        calls=2,
        observed_at=command.observed_at,
        finished_at=command.issued_at + _LETTA_TOOK,
    )


def _answer(connection: KafkaConnection, npc_id: str, question: Question) -> Answer:
    environment = {
        **os.environ,
        "ROLLCALL_BROKER": connection.broker,
        "ROLLCALL_TOPIC_PREFIX": connection.topic_prefix,
    }
    command = [sys.executable, "-m", "ops.cli", "explain", npc_id, "--json", *question.options]
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise Failure(f"explain failed: {done.stderr.strip()[-300:]}")
    return Answer(question.name, len(json.loads(done.stdout)), round(seconds, 2))


def _drawn(answers: list[Answer], past: Past) -> Table:
    title = f"{len(past.town.npcs):,} NPCs, {past.seconds / 60:g} minutes, {past.sent:,} records"
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    for name in ("asked for", "snapshots", "seconds"):
        table.add_column(name, justify="left" if name == "asked for" else "right")
    for one in answers:
        table.add_row(one.question, f"{one.snapshots:,}", f"{one.seconds:.1f}")
    return table
