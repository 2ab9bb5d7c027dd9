"""Seconds from the start of a worker to its decisions, after it was killed or told to stop.

While nobody works, one snapshot for each partition is written that leads to a command.
"""

import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from ops.bench.filter.process import processor_time, starved
from ops.bench.filter_scale.bed import Bed, Commands, Worker
from ops.bench.filter_scale.growth import Feed
from ops.bench.filter_scale.phases import phases
from streams.home import home_of
from topics.catalogue import PARTITIONS
from topics.encode import encode_key
from topics.producer import Producer


class Restart(NamedTuple):
    """Seconds since the start of the process. `how`: how the one before it ended.

    `processor`: seconds of processor time that the process took for it; `starved`: seconds in which
    its main thread could have run, had others not kept the processors busy.
    """

    how: str
    first: float
    all_partitions: float
    processor: float
    starved: float
    phases: dict[str, float]
    rss: int


async def restart(
    bed: Bed, worker: Worker, how: signal.Signals, feed: Feed, commands: Commands
) -> float:
    """Ends a worker and writes the probes; how long it took to end (s)."""
    began = time.time()
    await worker.end(how)
    took = time.time() - began
    probes = one_of_each_partition(feed.example)
    now = round(time.time(), 3)
    commands.expect(dict.fromkeys(probes, now))
    async with Producer(**bed.connection.client_options()) as producer:
        for npc_id in probes:
            await _send(producer, bed.source, feed, npc_id, f"startled at {now}", now)
    return took


async def decided(worker: Worker, how: signal.Signals, commands: Commands) -> Restart:
    """Waits for the probes' commands, which a worker that has just been started sends."""
    answers = await commands.answers()
    processor, waited = processor_time(worker.process.pid), starved(worker.process.pid)
    log = worker.entry.log.read_text(errors="replace").splitlines()
    return Restart(
        how.name,
        answers[0] - worker.started_at,
        answers[-1] - worker.started_at,
        processor,
        waited,
        phases(log, worker.started_at),
        worker.rss(),
    )


def one_of_each_partition(npc_ids: Iterable[str]) -> list[str]:
    """An NPC that lives in each partition."""
    found: dict[int, str] = {}
    for npc_id in npc_ids:
        found.setdefault(home_of(npc_id), npc_id)
        if len(found) == PARTITIONS:
            break
    return [found[number] for number in sorted(found)]


async def _send(
    producer: Producer, topic: str, feed: Feed, npc_id: str, action: str, at: float
) -> None:
    value = feed.example[npc_id].stamped(at) | {"action": action}
    await producer.send_and_wait(
        topic, orjson.dumps(value), encode_key(npc_id), timestamp_ms=int(at * 1000)
    )
