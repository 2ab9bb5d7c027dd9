"""`docker-compose.yml` against the compose specification, and against what we promise of it.

`compose-spec.schema.json` is an unchanged copy of the specification's JSON Schema (compose-go
2.16.2, Apache-2.0, licence beside it).
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ops.cli import COMMANDS
from streams.settings import Settings
from streams.topology import Role
from streams.worker import STOP_MARGIN
from tests.deployment.told import VARIABLES, parsed, words_of

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(__file__).with_name("compose-spec.schema.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = ["kafka", "letta-db", "letta", *Role, "lag", "prometheus", "grafana"]
KEEP_NOTHING = ["letta", "lag"]  # the data of Letta is its database's


def test_the_file_is_valid_compose() -> None:
    without_anchors = {key: value for key, value in COMPOSE.items() if not key.startswith("x-")}

    jsonschema.validate(without_anchors, SCHEMA)


def test_kafka_letta_a_worker_for_each_role_and_what_watches_them_are_there() -> None:
    assert set(LONG_RUNNING) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")

    assert tag
    assert tag != "latest"


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_long_running_service_has_a_health_check_and_keeps_its_data(name: str) -> None:
    if name not in KEEP_NOTHING:
        assert SERVICES[name]["volumes"]
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("role", Role)
def test_a_worker_runs_its_role_once_the_topics_are_made(role: Role) -> None:
    service = SERVICES[role]

    assert ["worker", "--roles", role] == service["command"]
    assert "service_completed_successfully" == service["depends_on"]["topics"]["condition"]


def test_every_variable_of_ours_is_one_a_worker_reads() -> None:
    assert set(SERVICES["filter"]["environment"]) <= VARIABLES


@pytest.mark.parametrize("name", ["topics", "tools", "lag", *Role])
def test_every_command_exists(name: str) -> None:
    assert words_of(parsed(SERVICES[name]["command"])).split()[0] in COMMANDS


@pytest.mark.parametrize("role", Role)
def test_a_worker_is_killed_only_after_it_would_have_left(role: Role) -> None:
    patience = float(SERVICES[role]["stop_grace_period"].removesuffix("s"))

    assert patience > Settings().drain_timeout + STOP_MARGIN


@pytest.mark.parametrize("name", ["kafka", "letta", "prometheus", "grafana"])
def test_published_ports_are_open_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
