"""What there is to tell of an embedded server, for people and as JSON."""

from pathlib import Path

import msgspec


class Status(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    running: bool
    healthy: bool
    """It answers requests."""
    address: str | None
    port: int | None
    pids: dict[str, int]
    """Our processes by name."""
    memory: int
    """Bytes in use by all of them; shared pages are counted once."""
    started_at: float | None
    """Seconds since the epoch."""
    data: Path
    log: Path


def as_json(status: Status) -> str:
    return msgspec.json.format(msgspec.json.encode(status, enc_hook=str), indent=2).decode()


def as_sentence(status: Status) -> str:
    if not status.running:
        return f"{status.name} does not run (data: {status.data})."
    state = "runs" if status.healthy else "runs, but does not answer,"
    pids = ", ".join(f"{name} {pid}" for name, pid in status.pids.items())
    return (
        f"{status.name} {state} at {status.address} "
        f"(pid {pids}; {status.memory / 1e6:.0f} MB; log {status.log})."
    )
