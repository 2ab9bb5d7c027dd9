"""TCP ports of the loopback interface: is one free, and who has it if not."""

import socket
import time

import psutil

from ops.embedded.errors import ServerError

LOOPBACK = "127.0.0.1"
LET_GO = 3.0


def free_port() -> int:
    """A port that nobody listens on now; asked for and given back, so use it soon."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def claim_check(name: str, port: int) -> None:
    """Raises ServerError with the port, and who has it if the system tells, unless it is free.

    A port without a visible owner gets LET_GO seconds: a killed program lets go of it last.
    """
    deadline = time.monotonic() + LET_GO
    while error := _refusal(port):
        owner = owner_of(port)
        if owner or isinstance(error, PermissionError) or time.monotonic() > deadline:
            raise ServerError(f"{name} cannot start: {_explained(port, error, owner)}.") from error
        time.sleep(0.1)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def owner_of(port: int) -> str | None:
    """`name (pid N)` of the program that listens on `port`; None if that may not be known."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
    # An address of the system may be empty.
    pids = [each.pid for each in listening if getattr(each.laddr, "port", None) == port]
    return _named(pids[0]) if pids and pids[0] else None


def _refusal(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def _explained(port: int, error: OSError, owner: str | None) -> str:
    if isinstance(error, PermissionError):
        return f"port {port} needs more rights, as all below 1024; choose another with --port"
    return (
        f"port {port} is already in use by {owner or 'another program'}; "
        "stop that program or choose another port with --port"
    )


def _named(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"
