"""Prometheus itself, with our scrape configuration, rules and dashboard, on real workers."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ops.embedded import free_port
from tests.integration.conftest import ALICE
from tests.integration.harness import Town, new_id, until
from tests.monitoring.exported import FOLDER, RULES
from tests.monitoring.queries import QUERIES

PROMETHEUS = shutil.which("prometheus")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed"),
]


class Prometheus:
    """A server that scrapes every second. `ports`: of the jobs' targets on this machine."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder, self._port = folder, free_port()
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FOLDER / "rules.yml")]
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            target = f"127.0.0.1:{ports[job['job_name']]}"
            job["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Within it the server runs."""
        arguments = [
            PROMETHEUS or "",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._folder / "prometheus.log").open("wb") as log:
            server = subprocess.Popen(arguments, stdout=log, stderr=log)
            try:
                yield
            finally:
                server.terminate()
                server.wait(30)

    async def ask(self, page: str, **parameters: str) -> Any:
        """What its API says; None while it does not answer, is not ready (503) or refuses."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{page}"
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(url, params=parameters)
            except httpx.TransportError:
                return None
        return answer.json()["data"] if answer.is_success else None

    async def value(self, query: str) -> float:
        """Of an expression with one result; 0 where there is none."""
        found = await self.ask("query", query=query)
        return float(found["result"][0]["value"][1]) if found and found["result"] else 0.0


@pytest.fixture(scope="module")
def lag_port(town: Town) -> Iterator[int]:
    """Of a lag exporter for the town."""
    port = free_port()
    command = [sys.executable, "-m", "ops.cli", "lag", "--export", str(port)]
    environment = {
        "ROLLCALL_BROKER": f"kafka://{town.connection.bootstrap_servers[0]}",
        "ROLLCALL_TOPIC_PREFIX": town.connection.topic_prefix,
    }
    exporter = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    yield port
    exporter.terminate()
    exporter.wait(30)


async def test_it_scrapes_all_targets_evaluates_all_rules_and_answers_every_query(
    town: Town, lag_port: int, tmp_path: Path, now: float
) -> None:
    ports = {f"rollcall-{role}": worker.port for role, worker in town.workers.items()}
    prometheus = Prometheus(tmp_path, {**ports, "rollcall-lag": lag_port})
    await town.see(new_id(), now, ALICE)

    async def has_scraped() -> bool:
        return await prometheus.value("sum(up)") == len(ports) + 1

    async def has_evaluated() -> bool:
        told = await prometheus.ask("rules") or {"groups": []}
        rules = [rule for group in told["groups"] for rule in group["rules"]]
        return len(rules) == len(RULES) and {"ok"} == {rule["health"] for rule in rules}

    with prometheus.running():
        await until(has_scraped, "all four targets")
        await until(has_evaluated, "all rules")
        refused = [
            query
            for query in QUERIES
            if await prometheus.ask("query", query=query.replace("$__rate_interval", "1m")) is None
        ]

        assert [] == refused
        assert await prometheus.value("sum(rollcall_snapshots_total)") > 0
        assert await prometheus.value("max(kafka_consumergroup_members)") > 0
