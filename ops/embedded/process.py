"""A server process that outlives us: started detached, found again by its pid file, stopped.

1. The pid file holds pid, start time and command line. A process is ours only if all three still
   agree, so a pid that the system gave to another program is never signalled.
2. Its logs begin anew with each start; OLDER_LOGS of earlier runs are kept.
3. Stopping is polite first, then forceful after a bound.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from ops.embedded.errors import ServerError, is_disk_full
from ops.embedded.folders import make_folder
from ops.embedded.progress import Progress

OLDER_LOGS = 3
CLOCK_STEP = 2.0
"""Seconds by which a start time may differ: the system clock is part of it and may be corrected."""
POLL = 0.1
KILL_PATIENCE = 10.0

_PASSED_ON = re.compile(
    r"PATH|LD_LIBRARY_PATH|LANG|LC_\w+|TZ|TMPDIR|SSL_CERT_FILE|SSL_CERT_DIR|(?i:https?_proxy|no_proxy|all_proxy)"
)
_TROUBLE = re.compile(r"\b(ERROR|FATAL|CRITICAL|PANIC)\b|Error\b|Exception\b")
_TAIL = 65_536
_LINE_LIMIT = 300

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Our own children, kept so that one that ends is reaped and Python has no reason to warn."""


class Account(msgspec.Struct, frozen=True):
    """Whom a process runs as, when not as ourselves."""

    name: str
    uid: int
    gid: int


class Record(msgspec.Struct, frozen=True):
    """What the pid file says of a started process."""

    pid: int
    started_at: float
    """Seconds since the epoch, as the system tells it."""
    command: list[str]
    port: int


@dataclass(frozen=True)
class Service:
    """One server process of a data folder; `name` is for messages."""

    name: str
    pid_file: Path
    log_file: Path
    """What it prints."""
    own_log: Path | None = None
    """Where it logs by itself, if it does."""
    stop_signal: signal.Signals = signal.SIGTERM

    def running(self) -> Record | None:
        """The record of our process, or None if it does not run (any more)."""
        record = self._recorded()
        return record if record and _alive(record) else None

    def start(
        self,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str],
        folder: Path,
        account: Account | None = None,
    ) -> Record:
        self._let_die()
        make_folder(self.log_file.parent)
        for log in filter(None, (self.log_file, self.own_log)):
            rotate(log)
        try:
            record = self._spawn(list(command), port, dict(environment), folder, account)
            write_atomically(self.pid_file, msgspec.json.encode(record))
        except OSError as error:
            raise ServerError(f"{self.name} could not be started: {_reason(error)}.") from error
        return record

    def stop(self, patience: float) -> bool:
        """Stop our process and wait until it is gone; False if it did not run."""
        record = self.running()
        if record is not None:
            self._end(psutil.Process(record.pid), patience)
        self.pid_file.unlink(missing_ok=True)
        return record is not None

    def wait_until(
        self, healthy: Callable[[], bool], patience: float, progress: Progress, text: str
    ) -> None:
        """Raises ServerError if our process ends, or is not healthy after `patience` seconds."""
        begin = time.monotonic()
        while not healthy():
            elapsed = time.monotonic() - begin
            progress.step(text, min(elapsed / patience, 0.99))
            if self.running() is None:
                raise ServerError(f"{self.name} ended while starting{self._last_words()}")
            if elapsed > patience:
                raise ServerError(
                    f"{self.name} does not answer after {patience:.0f} seconds{self._last_words()}"
                )
            time.sleep(POLL)

    def _spawn(
        self,
        command: list[str],
        port: int,
        environment: dict[str, str],
        folder: Path,
        account: Account | None,
    ) -> Record:
        with self.log_file.open("ab") as log:
            child = subprocess.Popen(  # noqa: S603  # our servers, no shell
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        _children[child.pid] = child
        record = Record(child.pid, psutil.Process(child.pid).create_time(), command, port)
        _await_command_line(child, record)
        return record

    def _end(self, process: psutil.Process, patience: float) -> None:
        for number, bound in ((self.stop_signal, patience), (signal.SIGKILL, KILL_PATIENCE)):
            try:
                process.send_signal(number)
                process.wait(bound)
            except psutil.NoSuchProcess:
                return
            except psutil.TimeoutExpired:
                continue
            except psutil.AccessDenied as error:
                raise ServerError(
                    f"{self.name} (pid {process.pid}) belongs to another user and was not stopped."
                ) from error
            return
        raise ServerError(f"{self.name} (pid {process.pid}) does not end, not even when killed.")

    def _let_die(self) -> None:
        """Wait for a killed predecessor that is not quite gone: it may still hold port and data."""
        record = self._recorded()
        if record is None:
            return
        with suppress(psutil.Error, subprocess.TimeoutExpired):
            process = psutil.Process(record.pid)
            if _began(process, record) and _ending(process):
                _children.get(record.pid, process).wait(KILL_PATIENCE)

    def _recorded(self) -> Record | None:
        try:
            return msgspec.json.decode(self.pid_file.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _last_words(self) -> str:
        for log in filter(None, (self.own_log, self.log_file)):
            if words := last_trouble(log):
                return f"; its log {log} says: {words}"
        return f"; its log {self.log_file} is empty."


@contextmanager
def stopped_on_error(service: Service, patience: float) -> Iterator[None]:
    """Stops the service if the block raises, an interrupt included."""
    try:
        yield
    except BaseException:
        service.stop(patience)
        raise


def bare_environment() -> dict[str, str]:
    """What a server needs of our environment, and nothing else: no keys, no Python settings."""
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def memory(pid: int) -> int:
    """Bytes in use by the process and its children; shared pages are counted once."""
    try:
        process = psutil.Process(pid)
        return sum(_used(each) for each in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def last_trouble(log_file: Path) -> str:
    """The last line of a log that tells of an error, else its last line; bounded, one line."""
    lines = [line.strip() for line in _tail(log_file).splitlines() if line.strip()]
    troubles = [line for line in lines if _TROUBLE.search(line)]
    line = (troubles or lines or [""])[-1]
    return "".join(sign for sign in line if sign.isprintable())[:_LINE_LIMIT]


def rotate(log_file: Path, keep: int = OLDER_LOGS) -> None:
    """`log` becomes `log.1`, `log.1` becomes `log.2` and so on; the oldest is forgotten."""
    names = [log_file, *(log_file.with_name(f"{log_file.name}.{n}") for n in range(1, keep + 1))]
    for older, newer in reversed(list(zip(names[1:], names, strict=False))):
        if newer.exists():
            newer.replace(older)


def write_atomically(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def _alive(record: Record) -> bool:
    if child := _children.get(record.pid):
        child.poll()
    try:
        process = psutil.Process(record.pid)
        return _same(process, record) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _await_command_line(child: "subprocess.Popen[bytes]", record: Record) -> None:
    """Linux shows no command line for the first instants of a program, and we know it by that."""
    deadline = time.monotonic() + CLOCK_STEP
    while child.poll() is None and not _alive(record) and time.monotonic() < deadline:
        time.sleep(0.001)


def _same(process: psutil.Process, record: Record) -> bool:
    return _began(process, record) and process.cmdline() == record.command


def _ending(process: psutil.Process) -> bool:
    """It has given up its memory, and its command line with it."""
    try:
        return not process.cmdline()
    except psutil.ZombieProcess:
        return True


def _began(process: psutil.Process, record: Record) -> bool:
    return abs(process.create_time() - record.started_at) <= CLOCK_STEP


def _used(process: psutil.Process) -> int:
    """The proportional share where the system tells it (Linux), else the resident size."""
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.Error:
        return 0


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _reason(error: OSError) -> str:
    if is_disk_full(error):
        return "the disk is full"
    return f"{error.strerror} ({error.filename})" if error.filename else str(error)
