"""Whether a worker gets on: `/livez` and `/readyz` beside `/metrics`, and an end to one that hangs.

    the worker                                             live             ready
    -----------------------------------------------------  ---------------  -----
    has nothing to do: nothing unacked, nothing unread     yes              yes
    finished or asked for something within the timeout     yes              yes
    waits for Letta, whose breaker is open                 yes              yes
    has work, and nothing moved for the timeout            no: it leaves    yes
    joins, recovers or reads its reference topics          yes, for 5 of    no
                                                           the timeouts
    does not even look at itself (its event loop hangs)    no: it leaves    no

A thread of its own answers and watches, so that a worker whose event loop hangs is noticed too.
"""

import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from socketserver import ThreadingMixIn
from time import monotonic
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

START_UP_TIMEOUTS = 5.0
"""Stall timeouts that joining the group and recovering Tables may take."""

WATCH_SECONDS = 1.0

log = structlog.get_logger()


class Work(NamedTuple):
    """What a role has in hand."""

    has_begun: bool
    """Its reference topics have been read."""
    unacked: int
    """Records taken and not acked."""
    done: Hashable
    """Differs whenever something was finished or tried."""
    is_waiting: bool = False
    """For a server that is known to be away, which is all it can do."""


@dataclass(frozen=True, slots=True)
class Window:
    """How a worker looked when it last looked at itself; times on a steady clock, in seconds."""

    looked_at: float
    moved_at: float
    is_ready: bool = False
    unacked: int = 0
    unread: int = 0
    """Records of its partitions that it did not fetch, as far as known."""


class Verdict(NamedTuple):
    """What a probe is told."""

    is_live: bool
    is_ready: bool
    reason: str


def verdict(window: Window, now: float, timeout: float) -> Verdict:
    """Judge a window. `timeout`: seconds without progress that are too many."""
    silent, still = now - window.looked_at, now - window.moved_at
    if silent > timeout:
        return Verdict(False, False, f"has not looked at itself for {silent:.0f} s")
    if not window.is_ready:
        is_live = still <= timeout * START_UP_TIMEOUTS
        return Verdict(is_live, False, f"joining or recovering for {still:.0f} s")
    if still > timeout:
        waiting = f"{window.unacked} records unacked and {window.unread} unread"
        return Verdict(False, True, f"nothing moved for {still:.0f} s, {waiting}")
    return Verdict(True, True, "ok")


class Pulse:
    """The window of a worker, renewed with each look. Read by any thread."""

    def __init__(self, timeout: float, clock: Callable[[], float] = monotonic) -> None:
        self._timeout, self._clock = timeout, clock
        self._done: Hashable = None
        self._window = Window(looked_at=clock(), moved_at=clock())

    def look(self, work: Work, unread: int, *, is_assigned: bool) -> None:
        """Take down how things stand."""
        now, is_ready = self._clock(), work.has_begun and is_assigned
        is_idle = is_ready and not work.unacked and not unread
        has_moved = work.done != self._done or is_ready != self._window.is_ready
        moved = is_idle or has_moved or work.is_waiting
        self._done = work.done
        self._window = replace(
            self._window,
            looked_at=now,
            moved_at=now if moved else self._window.moved_at,
            is_ready=is_ready,
            unacked=work.unacked,
            unread=unread,
        )

    def verdict(self) -> Verdict:
        """As of now."""
        return verdict(self._window, self._clock(), self._timeout)


def watch(
    pulse: Pulse, leave: Callable[[], None], every: float = WATCH_SECONDS
) -> threading.Thread:
    """Call `leave` once a worker stalls; from a thread that ends with the process."""
    pause = threading.Event()

    def look() -> None:
        while (judged := pulse.verdict()).is_live:
            pause.wait(every)
        log.error("worker_stalled", reason=judged.reason)
        leave()

    watcher = threading.Thread(target=look, name="watch", daemon=True)
    watcher.start()
    return watcher


def serve(host: str, port: int, registry: CollectorRegistry, pulse: Pulse) -> int:
    """Answer `/metrics`, `/livez` and `/readyz` on `host:port`, 0 for any free one; the port.

    Raises OSError when the port is in use.
    """
    server = make_server(host, port, pages(registry, pulse), _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server.server_port


def pages(registry: CollectorRegistry, pulse: Pulse) -> Callable[..., Iterable[bytes]]:
    """The pages as a WSGI application; whatever is no probe is the metrics."""
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        judged = pulse.verdict()
        match environ.get("PATH_INFO"):
            case "/livez":
                return _probe(start_response, judged.is_live, judged.reason)
            case "/readyz":
                return _probe(start_response, judged.is_ready and judged.is_live, judged.reason)
        page: Iterable[bytes] = metrics(environ, start_response)
        return page

    return answer


def _probe(start_response: Any, is_well: bool, reason: str) -> Iterable[bytes]:
    status = "200 OK" if is_well else "503 Service Unavailable"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{reason}\n".encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base has it
        """A scrape is no event."""
