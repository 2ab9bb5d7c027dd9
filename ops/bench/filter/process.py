"""A contender's process: how it is started, watched and stopped."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from ops.demo.workers import last_line
from streams.topology import Role
from topics.connection import KafkaConnection

_STOP_PATIENCE = 40.0


class Entry(NamedTuple):
    """A contender about to run."""

    name: str
    group: str
    commands: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    reports: bool = False
    """Whether its output is figures, and no log."""


class GivenUpError(Exception):
    """A contender that ended, or stood still, before everything was committed."""


def worker_command() -> list[str]:
    """The filter worker as users run it."""
    return [sys.executable, "-m", "ops.cli", "worker", "--roles", Role.FILTER.value]


def clean_environment(connection: KafkaConnection, folder: Path) -> dict[str, str]:
    """Ours, with no setting of rollcall's but where Kafka is: every other is the default."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
    return kept | {
        "ROLLCALL_BROKER": connection.broker,
        "ROLLCALL_TOPIC_PREFIX": connection.topic_prefix,
        "ROLLCALL_DATA_DIR": str(folder / "data"),
    }


@contextmanager
def started(entry: Entry) -> Iterator["subprocess.Popen[bytes]"]:
    """Its process, gone in the end; what it logs goes to a file."""
    with entry.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            entry.command,
            env=dict(entry.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if entry.reports else log,
            stderr=log,
            # Ctrl-C is for the measurement, which then stops its processes.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, so that it finishes what it has begun; killed when it takes too long."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def demand_alive(process: "subprocess.Popen[bytes]", entry: Entry) -> None:
    """GivenUpError, with the end of its log, where it has ended."""
    code = process.poll()
    if code is not None:
        raise GivenUpError(f"ended with exit code {code}: {last_line(entry.log)}")


def processor_time(pid: int) -> float:
    """Seconds of processor time so far; 0 where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def starved(pid: int) -> float:
    """Seconds in which its main thread could have run but got no processor; 0 where unknown."""
    try:
        told = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(told.split()[1]) / 1e9
