import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.embedded import kafka_jars, letta_install
from ops.embedded.errors import ServerError
from ops.embedded.install import Installation, ensure_installed
from ops.embedded.kafka_jars import (
    Fetch,
    Jar,
    install_jars,
    jar_folder,
    kafka_installation,
    parse_lock,
    tools_installation,
)
from ops.embedded.progress import Quiet

LOCKS = [kafka_jars.LOCK, kafka_jars.TOOLS_LOCK, letta_install.LOCK]
CONTENT = b"a jar"
GENUINE = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())
FORGED = Jar("org.example", "other", "2.0", "0" * 64)


def fetch(jar: Jar, folder: Path) -> Path:
    path = folder / jar.artifact / jar.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def test_the_kafka_lock_holds_the_pinned_versions() -> None:
    coordinates = {jar.coordinate for jar in parse_lock(kafka_jars.LOCK.read_text())}

    assert {
        "org.apache.kafka:kafka_2.13:4.3.1",
        "org.apache.kafka:kafka-clients:4.3.1",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    } <= coordinates


def test_the_tools_are_of_the_release_of_the_broker_and_repeat_none_of_its_jars() -> None:
    broker = parse_lock(kafka_jars.LOCK.read_text())
    tools = parse_lock(kafka_jars.TOOLS_LOCK.read_text())

    assert f"org.apache.kafka:kafka-tools:{kafka_jars.VERSION}" in {one.coordinate for one in tools}
    assert {one.artifact for one in broker} & {one.artifact for one in tools} == set()


@pytest.mark.parametrize("lock", [kafka_jars.LOCK, kafka_jars.TOOLS_LOCK], ids=lambda it: it.name)
def test_no_jar_is_locked_twice(lock: Path) -> None:
    jars = parse_lock(lock.read_text())

    assert len({jar.file_name for jar in jars}) == len(jars)
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)


def test_every_package_of_the_letta_lock_has_hashes() -> None:
    lock = letta_install.LOCK.read_text()
    packages = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]

    assert "letta==0.16.8 " in lock
    assert len(packages) > 200
    assert [package for package in packages if "--hash=sha256:" not in package] == []


def test_nothing_that_needs_a_compiler_is_locked() -> None:
    assert not re.search(r"^psycopg2==", letta_install.LOCK.read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_says_how_to_regenerate_it_and_names_no_host_and_no_path(lock: Path) -> None:
    text = lock.read_text()

    assert text.startswith("# Regenerate with `python -m ops.embedded.locks.regenerate")
    assert re.findall(r"https?:|(?<![=\w])/\w+/", text) == []


@pytest.mark.parametrize(
    "line",
    ["org.example:thing:1.0", "a:b sha256=" + "0" * 64, "a:b:c sha256=12", "a:b:../c sha256"],
)
def test_a_malformed_line_of_the_kafka_lock_is_named(line: str) -> None:
    with pytest.raises(ServerError, match="Line 2 of the Kafka lock"):
        parse_lock(f"# a comment\n{line}\n")


def test_locked_jars_are_installed(tmp_path: Path) -> None:
    install_jars([GENUINE], tmp_path, Quiet(), fetch, "Things")

    assert [path.name for path in jar_folder(tmp_path).iterdir()] == ["thing-1.0.jar"]
    assert [path.name for path in tmp_path.iterdir()] == ["jars"]


def test_a_jar_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"org\.example:other:2\.0 is not the one in our lock"):
        install_jars([GENUINE, FORGED], tmp_path, Quiet(), fetch, "Things")


@pytest.mark.parametrize("installation_of", [kafka_installation, tools_installation])
def test_a_refused_jar_leaves_no_installation(
    installation_of: Callable[[Fetch], Installation],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ROLLCALL_CACHE_DIR", str(tmp_path))
    installation = installation_of(fetch)

    with pytest.raises(ServerError, match="is not the one in our lock"):
        ensure_installed(installation, Quiet())

    assert not installation.folder.exists()


def test_the_tools_have_a_folder_of_their_own() -> None:
    assert kafka_installation().folder != tools_installation().folder
