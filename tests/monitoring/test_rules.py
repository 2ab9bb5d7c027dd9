"""Each alert is tried out, and says what it means and where to read on."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.monitoring.exported import ALERTS, FOLDER, ROOT

PROMTOOL = shutil.which("promtool")
TESTS = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
GUIDE = (ROOT / "docs" / "operations.md").read_text()


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def runbook() -> dict[str, str]:
    """The sections of "What to do when", by their anchors."""
    chapter = GUIDE.split("\n## What to do when\n")[1].split("\n## ")[0]
    sections = [section.split("\n", 1) for section in chapter.split("\n### ")[1:]]
    return {anchor(heading): text for heading, text in sections}


def tried() -> Iterator[tuple[str, bool]]:
    """Alerts that a test of the rules looks at, and whether it has to fire there."""
    for test in TESTS:
        for one in test["alert_rule_test"]:
            yield one["alertname"], bool(one["exp_alerts"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_is_tried_with_its_cause_and_without(alert: dict[str, str]) -> None:
    assert {(alert["alert"], True), (alert["alert"], False)} <= set(tried())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_tells_what_is_wrong_and_how_urgent_it_is(
    alert: dict[str, dict[str, str]],
) -> None:
    assert {"summary", "runbook"} == set(alert["annotations"])
    assert alert["labels"]["severity"] in ("page", "ticket")


def test_the_guide_has_a_section_for_each_alert_and_no_other() -> None:
    meant = {alert["annotations"]["runbook"] for alert in ALERTS}

    assert meant == {f"docs/operations.md#{name}" for name in runbook()}


@pytest.mark.parametrize("text", runbook().values(), ids=runbook())
def test_a_section_says_what_is_seen_where_to_look_and_what_to_do(text: str) -> None:
    heads = re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE)

    assert ["Symptom.", "Look here.", "Do this."] == heads


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_a_section_names_its_alerts(alert: dict[str, dict[str, str]]) -> None:
    _, _, name = alert["annotations"]["runbook"].partition("#")

    assert f"`{alert['alert']}`" in runbook()[name]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Prometheus) is not installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments: list[str]) -> None:
    done = subprocess.run(
        [PROMTOOL or "", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr
