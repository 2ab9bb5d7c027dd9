"""Run one role as a Faust worker, or several as one child process each.

A role is a consumer group, a Faust app and a process: the lag of each is told apart, and each can
be scaled alone.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import faust
import structlog

from streams import logs
from streams.faust_layer.app import member_id_of, when_assigned, when_recovered, when_revoked
from streams.flusher import leave_process
from streams.health import Pulse, Work, serve, watch
from streams.membership import Membership
from streams.metrics import Metrics
from streams.preflight import NotReadyError, preflight
from streams.pulse import keep_looking, watched
from streams.recovery import Recovery
from streams.settings import Settings
from streams.topology import Role, members_folder, new_app
from topics.catalogue import LOCATIONS, NPC_ROSTER, PLAYER_PROFILES
from topics.connection import KafkaConnection

log = structlog.get_logger()

STOP_MARGIN = 10.0
"""Seconds to stop on top of draining; then the worker leaves, and what is unacked comes again."""


class Agent(Protocol):
    """A role of a worker."""

    async def learn(self) -> None:
        """Reads what it must know before it is given any partition."""
        ...

    def work(self) -> Work:
        """What it has in hand, for its health."""
        ...


Build = Callable[[faust.App, Settings, KafkaConnection, Metrics], Agent]

STAGES_BESIDE: Mapping[Role, Iterable[str]] = {
    Role.FILTER: (NPC_ROSTER, LOCATIONS, PLAYER_PROFILES),
}
"""Stages that a role sees to besides its own."""


def run(roles: Sequence[str]) -> int:
    """Run the roles until told to stop; 0 after SIGTERM or SIGINT, else what went wrong."""
    chosen = [Role(role) for role in roles]
    Settings(), KafkaConnection.from_environment()  # a wrong value is told once, before any child
    return run_one(chosen[0]) if len(chosen) == 1 else run_children(chosen)


def run_one(role: Role) -> int:
    """Run one role in this process."""
    settings, connection = Settings(), KafkaConnection.from_environment()
    logs.configure(settings.log_format, settings.log_level)
    structlog.contextvars.bind_contextvars(role=role.value)
    log.info("worker_starts")
    try:
        preflight(role, connection, members_folder(role, settings, connection.topic_prefix))
    except NotReadyError as error:
        log.error("worker_not_started", error=str(error))
        return 1
    app = build(role, settings, connection)
    try:
        bound = settings.drain_timeout + STOP_MARGIN
        QuietWorker(app, redirect_stdouts=False, stop_within=bound).execute_from_commandline()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def agent_of(role: Role) -> Build:
    """What does the role's work. No role imports another's: Letta's client alone takes 0.5 s."""
    if role is Role.SPLITTER:
        from streams.splitter.agent import SplitterAgent

        return SplitterAgent
    if role is Role.FILTER:
        from streams.filter.agent import FilterAgent

        return FilterAgent
    from streams.writer.agent import WriterAgent

    return WriterAgent


def build(role: Role, settings: Settings, connection: KafkaConnection) -> faust.App:
    """The Faust app of a role, with its metrics and health served, not started yet."""
    metrics, pulse = Metrics(), Pulse(settings.stall_timeout)
    if settings.metrics_port is not None:
        port = serve(settings.metrics_host, settings.metrics_port, metrics.registry, pulse)
        log.info("metrics_served", host=settings.metrics_host, port=port)
    app = new_app(role, settings, connection, wait_empty=role is not Role.WRITER)
    recovery = Recovery(metrics)
    when_revoked(app, recovery.begin)
    when_assigned(app, recovery.given)
    membership = Membership(members_folder(role, settings, connection.topic_prefix))
    when_assigned(app, lambda: membership.note(member_id_of(app)))
    when_recovered(app, recovery.end)
    metrics.begin_stages([role, *STAGES_BESIDE.get(role, ())])
    agent = agent_of(role)(app, settings, connection, metrics)
    app.before_joining(lambda: watched(pulse, agent.work, agent.learn()))
    app.task(partial(keep_looking, app, connection, pulse, agent.work))
    watch(pulse, leave_process)
    return app


class QuietWorker(faust.Worker):
    """Faust's worker without its spinner and its own ideas of logging; it stops within a bound."""

    def __init__(self, *args: Any, stop_within: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spinner = None
        self._stop_within = stop_within

    def _flag_as_shutdown_by_signal(self) -> None:
        super()._flag_as_shutdown_by_signal()
        log.info("stopping", within_seconds=self._stop_within)
        self.loop.call_later(self._stop_within, leave_process)

    def _setup_logging(self) -> None:
        """`streams.logs` has done it."""


def run_children(roles: Sequence[Role]) -> int:
    """Run each role in a process of its own; when one ends, all end."""
    children = [_spawn(role, number) for number, role in enumerate(roles)]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(children))
    codes = [_wait_for_first(children)]
    _stop(children)
    codes += [child.wait() for child in children]
    return next((1 for code in codes if code), 0)


def _spawn(role: Role, number: int) -> "subprocess.Popen[bytes]":
    """A child for one role; a metrics port is counted up, so that each role has its own."""
    environment = dict(os.environ)
    port = int(environment.get("ROLLCALL_METRICS_PORT") or 0)
    if port:
        environment["ROLLCALL_METRICS_PORT"] = str(port + number)
    command = [sys.executable, "-m", "streams.worker", role]
    return subprocess.Popen(command, env=environment)  # noqa: S603 - a role, not user's text


def _wait_for_first(children: Sequence["subprocess.Popen[bytes]"]) -> int:
    pids = {child.pid: child for child in children}
    pid, status = os.wait()
    child = pids.get(pid)
    if child is not None:
        child.returncode = os.waitstatus_to_exitcode(status)
    return os.waitstatus_to_exitcode(status)


def _stop(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
