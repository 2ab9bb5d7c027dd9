"""Commands and a worker as users start them, on TLS and SASL: they work, and they keep secrets."""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ops.embedded import free_port
from ops.records import records
from tests.integration.harness import ROOT, until
from tests.security.broker import SECRET, Certificate, SecureBroker
from topics.connection import KafkaConnection

pytestmark = pytest.mark.integration

TOKEN = "letta-t0ken-Zr4-never-to-be-seen"
PATIENCE = 60.0


@dataclass
class Outside:
    """A user's shell: an environment, commands, a worker, and every word that any of them said."""

    environment: Mapping[str, str]
    folder: Path
    words: list[str] = field(default_factory=list)
    worker: "subprocess.Popen[bytes] | None" = None

    def run(self, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments],
            input=given,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.words += [done.stdout, done.stderr]
        return done

    def start_worker(self, role: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "worker.log").open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "worker", "--roles", role],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.worker

    def stop_worker(self) -> None:
        if self.worker is not None:
            self.worker.terminate()
            try:
                self.worker.wait(PATIENCE)
            finally:
                self.worker.kill()
                self.words.append((self.folder / "worker.log").read_text(errors="replace"))


@pytest.fixture
def prefix() -> str:
    return f"sec-{uuid.uuid4().hex[:8]}."


def shell(
    broker: SecureBroker, protocol: str, mechanism: str | None, prefix: str, folder: Path
) -> Outside:
    settings = broker.environment(protocol, mechanism)
    if mechanism:
        file = folder / "password"
        file.write_text(f"{settings.pop('ROLLCALL_KAFKA_SASL_PASSWORD')}\n")
        settings["ROLLCALL_KAFKA_SASL_PASSWORD_FILE"] = str(file)
    (folder / "token").write_text(f"{TOKEN}\n")
    return Outside(
        {
            **settings,
            "ROLLCALL_TOPIC_PREFIX": prefix,
            "ROLLCALL_DATA_DIR": str(folder / "data"),
            "ROLLCALL_LETTA_URL": "http://127.0.0.1:1",
            "ROLLCALL_LETTA_TOKEN_FILE": str(folder / "token"),
            "ROLLCALL_METRICS_PORT": str(free_port()),
            "ROLLCALL_LOG_LEVEL": "debug",
        },
        folder,
    )


@pytest.fixture(params=[("SASL_SSL", "SCRAM-SHA-512"), ("SSL", None)])
def outside(
    broker: SecureBroker, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Outside]:
    protocol, mechanism = request.param
    made = shell(broker, protocol, mechanism, prefix, tmp_path)
    yield made
    if made.worker is not None and made.worker.poll() is None:
        made.worker.kill()


def test_the_road_of_a_snapshot_over_a_guarded_line(
    outside: Outside, broker: SecureBroker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reads by the open listener, so that only the program is on the guarded one.
    for name, value in broker.environment("PLAINTEXT").items():
        monkeypatch.setenv(name, value)
    plain = KafkaConnection.from_environment(topic_prefix=prefix)
    now = time.time()
    good = {"npc_id": "npc-1", "observed_at": now, "cluster": ["Alice"]}
    late = {"npc_id": "npc-2", "observed_at": now + 86_400}

    applied = outside.run("topics", "apply")
    outside.start_worker("filter")
    published = outside.run("publish", given=f"{json.dumps(good)}\n{json.dumps(late)}\n")
    asyncio.run(until(lambda: standing(plain, "npc-update-commands"), "a command", PATIENCE))
    asyncio.run(until(lambda: standing(plain, "dead-letters"), "a dead letter", PATIENCE))
    sockets = listening(outside)
    listed = outside.run("dead-letters", "list", "--json")
    requeued = outside.run("dead-letters", "requeue", "--all", "--force")
    shown = [outside.run("config"), outside.run("config", "--json"), outside.run("check")]
    outside.stop_worker()

    codes = [done.returncode for done in (applied, published, listed, requeued)]
    assert codes == [0, 0, 0, 0], outside.words
    assert [one["key"] for one in json.loads(listed.stdout)] == ["npc-2"]
    assert set(sockets) == {"127.0.0.1"}
    assert "ROLLCALL_LETTA_TOKEN = ********  file" in shown[0].stdout
    kept = [repr(r) for r in asyncio.run(everything(plain))]
    data = [path for path in (outside.folder / "data").rglob("*") if path.is_file()]
    files = [path.read_text(errors="replace") for path in data]
    for words in (*outside.words, *kept, *files):
        assert SECRET not in words
        assert TOKEN not in words


async def standing(connection: KafkaConnection, name: str) -> list[object]:
    return [record async for record in records(connection, name)]


async def everything(connection: KafkaConnection) -> list[object]:
    names = ("npc-snapshots", "npc-update-commands", "dead-letters")
    return [record for name in names for record in await standing(connection, name)]


def listening(outside: Outside) -> list[str]:
    """The addresses on which the worker and its children listen."""
    assert outside.worker is not None
    worker = psutil.Process(outside.worker.pid)
    return [
        connection.laddr.ip
        for process in (worker, *worker.children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def test_the_broker_listens_on_loopback_only(broker: SecureBroker) -> None:
    found = psutil.Process(broker.server.pid).net_connections(kind="inet")

    addresses = {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


COMMANDS = {
    "apply": ["topics", "apply"],
    "publish": ["publish"],
    "list": ["dead-letters", "list"],
    "check": ["check"],
    "worker": ["worker", "--roles", "filter"],
}


@pytest.mark.parametrize(
    ("command", "wrong"),
    [(name, "password") for name in COMMANDS]
    + [("apply", "certificate"), ("worker", "certificate")],
)
def test_who_is_not_let_in_reads_one_sentence_and_is_not_kept_waiting(
    broker: SecureBroker,
    prefix: str,
    tmp_path: Path,
    stranger: Certificate,
    command: str,
    wrong: str,
) -> None:
    outside = shell(broker, "SASL_SSL", "SCRAM-SHA-256", prefix, tmp_path)
    if wrong == "password":
        (tmp_path / "password").write_text(f"not-{SECRET}")
        sentence = "refuses the user 'rollcall': wrong ROLLCALL_KAFKA_SASL_USERNAME or"
    else:
        trust = {"ROLLCALL_KAFKA_TLS_CA_FILE": str(stranger.certificate)}
        outside.environment = {**outside.environment, **trust}
        sentence = "is not trusted: self-signed certificate; ROLLCALL_KAFKA_TLS_CA_FILE names"

    done = outside.run(*COMMANDS[command])

    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 1
    assert " ".join(said.split()).count(sentence) == 1
    assert "Traceback" not in said
    assert SECRET not in said
    assert TOKEN not in said
