"""Prometheus and Grafana find, in `docker-compose.yml`, what they are told of."""

from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from tests.monitoring.exported import DASHBOARD, FOLDER, PANELS, ROOT, SCRAPED

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
    "services"
]
TARGETS = [
    (found["names"][0], str(found["port"]))
    for job in SCRAPED["scrape_configs"]
    for found in job["dns_sd_configs"]
]


def mounted(service: str) -> dict[str, str]:
    """Files of ours by their place in the container."""
    volumes = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {target: source for source, target, *_ in volumes if source.startswith("./")}


@pytest.mark.parametrize(("service", "port"), TARGETS)
def test_a_target_is_a_service_that_listens_there(service: str, port: str) -> None:
    assert [port] == SERVICES[service]["expose"]


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_files_that_a_service_mounts_exist(service: str) -> None:
    missing = [source for source in mounted(service).values() if not (ROOT / source).is_file()]

    assert [] == missing


def test_prometheus_finds_its_rules() -> None:
    places = [f"/etc/prometheus/{name}" for name in SCRAPED["rule_files"]]

    assert set(places) <= set(mounted("prometheus"))


def test_grafana_finds_the_dashboard_in_the_folder_it_is_told() -> None:
    told = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())
    folder = told["providers"][0]["options"]["path"]
    dashboards = [target for target in mounted("grafana") if target.startswith(folder)]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert [home] == dashboards
    assert "dashboard.json" == PurePosixPath(mounted("grafana")[home]).name


def test_each_panel_asks_the_source_that_is_chosen_above() -> None:
    asked = {panel["datasource"]["uid"] for panel in PANELS}
    asked |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}

    assert {"${datasource}"} == asked
    assert ["datasource"] == [one["name"] for one in DASHBOARD["templating"]["list"]]


def test_no_panel_lies_over_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(cells) == len(set(cells))
    assert len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})
