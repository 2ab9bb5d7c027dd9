"""`rollcall bench replay`: how fast a dry run goes through a topic, and how much memory it needs.

A town plays as fast as it can into topics of its own; a dry run decides it all, after a tenth of
the records, half and all. Memory is the largest resident sets of its two processes, the one that
decides and the one that reads beside it, together; the processor time of each is told, too, which
a busy machine disturbs less than seconds on the clock.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson
from rich.table import Table

from ops.bench.options import json_option, seed_option
from ops.demo.game import World
from ops.demo.play import timeline
from ops.demo.servers import ensure_kafka_alone, new_run
from ops.demo.town import build_town
from ops.demo.view import open_console
from ops.embedded.progress import Progress, shown_progress
from ops.failure import Failure
from ops.topics_admin import apply, delete_all
from topics.catalogue import NPC_ROSTER, NPC_SNAPSHOTS
from topics.connection import KafkaConnection
from topics.encode import encode, encode_key
from topics.producer import Producer

_DAY = 86_400.0
_PROGRAM = """
import resource, sys, time
from click.testing import CliRunner
from ops.cli import main
begin = time.perf_counter()
result = CliRunner().invoke(main, ["replay", "--quiet", "--json", *sys.argv[1:]])
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
deciding, reading = (each.ru_utime + each.ru_stime for each in used)
peak = sum(each.ru_maxrss for each in used)
print(result.stdout.splitlines()[-1] if result.exit_code == 0 else result.output)
seconds = time.perf_counter() - begin
print(f"seconds {seconds:.2f} kilobytes {peak} processor {deciding:.2f} {reading:.2f}")
"""


@click.command()
@click.option("--npcs", type=click.IntRange(1), default=5000, show_default=True)
@click.option("--snapshots", type=click.IntRange(100), default=1_000_000, show_default=True)
@seed_option
@json_option
def replay(npcs: int, snapshots: int, seed: int, json_file: Path | None) -> None:
    """How fast `rollcall replay --dry-run` decides, and that its memory stays flat."""
    with ExitStack() as stack:
        progress = stack.enter_context(shown_progress())
        servers = ensure_kafka_alone(stack, progress)
        connection = servers.connection(f"{new_run('replay')}-")
        figures = asyncio.run(_measure(connection, npcs, snapshots, seed, progress))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))
    table = Table(box=None, header_style="bold")
    for name in figures[0]:
        table.add_column(name, justify="right")
    for one in figures:
        table.add_row(
            *(
                f"{value:,.1f}" if name != "snapshots" else f"{value:,}"
                for name, value in one.items()
            )
        )
    open_console().print(table)


async def _measure(
    connection: KafkaConnection, npcs: int, snapshots: int, seed: int, progress: Progress
) -> list[dict[str, float]]:
    await apply(connection)
    try:
        figures = []
        async for sent in _played(connection, npcs, snapshots, seed, progress):
            progress.step(f"Deciding {sent:,} snapshots", None)
            figures.append(await asyncio.to_thread(_decided, connection))
        return figures
    finally:
        await delete_all(connection)


async def _played(
    connection: KafkaConnection, npcs: int, snapshots: int, seed: int, progress: Progress
) -> Any:
    """Plays a tenth, then half, then all; yields how much is there each time."""
    town = build_town(npcs, seed)
    records = timeline(World(town, seed), _DAY)
    began, sent = time.time() - _DAY, 0
    async with Producer(**connection.client_options(), linger_ms=20) as producer:
        for entry in town.npcs.values():
            topic = connection.topic(NPC_ROSTER)
            await producer.send(topic, encode(entry), encode_key(entry.npc_id))
        told = (one for one in records if one.topic == NPC_SNAPSHOTS)
        for goal in (snapshots // 10, snapshots // 2, snapshots):
            for record in islice(told, goal - sent):
                at = began + record.at
                value = orjson.dumps(record.stamped(round(at, 3)))
                key, moment = encode_key(record.key), int(at * 1000)
                await producer.send(connection.topic(record.topic), value, key, timestamp_ms=moment)
                sent += 1
                if sent % 10_000 == 0:
                    progress.step("Playing", sent / snapshots)
            await producer.flush()
            yield goal


def _decided(connection: KafkaConnection) -> dict[str, float]:
    """One dry run of all there is."""
    environment = {
        **os.environ,
        "ROLLCALL_BROKER": connection.broker,
        "ROLLCALL_TOPIC_PREFIX": connection.topic_prefix,
    }
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    found = re.search(r"seconds ([\d.]+) kilobytes (\d+) processor ([\d.]+) ([\d.]+)", done.stdout)
    if found is None or not done.stdout.startswith("{"):
        raise Failure(f"the dry run failed: {(done.stdout + done.stderr).strip()[-300:]}")
    told = json.loads(done.stdout.splitlines()[0])["sum"]
    seconds, count = float(found[1]), sum(told["outcomes"].values())
    return {
        "snapshots": count,
        "seconds": seconds,
        "a second": count / seconds,
        "sent %": 100 * told["commands"] / count,
        "peak MiB": int(found[2]) / 1024,
        "deciding s": float(found[3]),
        "reading s": float(found[4]),
    }
