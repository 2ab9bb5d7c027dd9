"""Worker processes of a run: started with their own log and metrics port, watched, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.ports import free_port
from ops.failure import Failure

STOP_PATIENCE = 30.0
"""Seconds a worker may take to finish what it has begun; longer than a writer drains."""

_LOG_TAIL = 2000


@dataclass(slots=True)
class WorkerProcess:
    """A running `rollcall worker` of one role."""

    role: str
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def metrics_url(self) -> str:
        """Where its metrics are."""
        return f"http://127.0.0.1:{self.port}/metrics"

    def demand_alive(self) -> None:
        """A Failure with the end of its log, if the worker is gone."""
        code = self.process.poll()
        if code is not None:
            raise Failure(
                f"The {self.role} worker ended with exit code {code}; "
                f"its log {self.log} ends with: {last_line(self.log)}"
            )

    def ask_to_stop(self) -> None:
        """SIGTERM, as an operator would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait_until_gone(self) -> int:
        """Its exit code; killed when it does not end by itself."""
        try:
            return self.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_worker(role: str, environment: Mapping[str, str], folder: Path) -> WorkerProcess:
    """Start a worker of a role; it logs to `<folder>/<role>.log`."""
    port, log = free_port(), folder / f"{role}.log"
    command = [sys.executable, "-m", "ops.cli", "worker", "--roles", role]
    command += ["--metrics-port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own program
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the demo, which then stops its workers in order.
            start_new_session=True,
        )
    return WorkerProcess(role, process, port, log)


async def stop_workers(workers: list[WorkerProcess]) -> list[int]:
    """Stop all of them at the same time; their exit codes."""
    for worker in workers:
        worker.ask_to_stop()
    return [await asyncio.to_thread(worker.wait_until_gone) for worker in workers]


def peak_memory(pid: int) -> int | None:
    """VmHWM of a process in bytes; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def last_line(log: Path) -> str:
    """The last line of a log that says something; bounded."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return "".join(sign for sign in (said or [""])[-1] if sign.isprintable())[:400]
