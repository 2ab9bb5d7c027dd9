"""The servers of a demo: those the environment names, else embedded ones of the demo's own."""

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from letta_client import AsyncLetta

from ops.embedded.folders import data_folder
from ops.embedded.ports import free_port
from ops.embedded.progress import Progress
from ops.embedded.status import Status
from ops.failure import Failure
from streams.settings import Settings
from topics.connection import KafkaConnection


@dataclass(slots=True)
class Servers:
    """Where Kafka and Letta are. `own`: what is embedded, and its status then."""

    broker: str
    letta_url: str
    letta_token: str | None
    folder: Path
    own: list[str] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)

    def connection(self, prefix: str) -> KafkaConnection:
        """Kafka, with a topic prefix."""
        return KafkaConnection.from_environment(broker=self.broker, topic_prefix=prefix)

    def letta(self) -> AsyncLetta:
        """A client that never repeats a request by itself."""
        return AsyncLetta(base_url=self.letta_url, api_key=self.letta_token, max_retries=0)


def demo_folder() -> Path:
    """Where the demo keeps its servers' data and its workers' logs, apart from the user's."""
    return data_folder() / "demo"


def new_run(kind: str) -> str:
    """A name that no run had before."""
    return f"{kind}-{secrets.token_hex(3)}"


def ensure_servers(stack: ExitStack, progress: Progress, keep: bool) -> Servers:
    """Start what is missing; `stack` stops it again, unless it is to be kept. ServerError."""
    servers = _named_servers()
    if not servers.broker:
        _ensure_kafka(servers, stack, progress, keep)
    if not servers.letta_url:
        _ensure_letta(servers, stack, progress, keep)
    return servers


def ensure_letta_alone(stack: ExitStack, progress: Progress) -> Servers:
    """The same for what needs no Kafka."""
    servers = _named_servers()
    if not servers.letta_url:
        _ensure_letta(servers, stack, progress, keep=False)
    return servers


def ensure_kafka_alone(stack: ExitStack, progress: Progress) -> Servers:
    """The same for what needs no Letta."""
    servers = _named_servers()
    if not servers.broker:
        _ensure_kafka(servers, stack, progress, keep=False)
    return servers


def _named_servers() -> Servers:
    first, *more = Settings().letta_servers
    if more:
        raise Failure("ROLLCALL_LETTA_URL names several Letta servers; this needs one of them.")
    broker, url = (os.environ.get(f"ROLLCALL_{name}", "") for name in ("BROKER", "LETTA_URL"))
    return Servers(broker, url, first.token, demo_folder())


# The embedded servers are an extra of the package: imported only when one is needed.


def _ensure_kafka(servers: Servers, stack: ExitStack, progress: Progress, keep: bool) -> None:
    from ops.embedded.kafka import ensure_kafka, kafka_status

    kafka = ensure_kafka(servers.folder, _port(kafka_status(servers.folder)), progress)
    if not keep:
        stack.enter_context(kafka)
    servers.broker = f"kafka://{kafka.address}"
    servers.own.append("kafka")
    servers.pids |= kafka_status(servers.folder).pids


def _ensure_letta(servers: Servers, stack: ExitStack, progress: Progress, keep: bool) -> None:
    from ops.embedded.letta import ensure_letta, letta_status

    letta = ensure_letta(servers.folder, _port(letta_status(servers.folder)), progress)
    if not keep:
        stack.enter_context(letta)
    servers.letta_url = letta.url
    servers.own.append("letta")
    servers.pids |= letta_status(servers.folder).pids


def _port(status: Status) -> int:
    """The port of a server that an earlier demo kept, else a free one."""
    return status.port or free_port()
