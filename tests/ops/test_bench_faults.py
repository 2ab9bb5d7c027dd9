"""`rollcall bench faults`: what it runs, tells and ends with; the parts without servers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.bench.faults import faults

SMALL = ["--only", "simulation", "--only", "fuzz", "--seeds", "3", "--records", "300"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(faults, [*SMALL, *arguments])


def test_each_kind_has_its_row_and_its_seed() -> None:
    done = run("--seed", "11")

    rows = {line.split()[0]: line for line in done.output.splitlines() if line.endswith(" 11")}
    assert 0 == done.exit_code
    assert {"simulation", "fuzz"} == set(rows)
    assert "3 seeds" in rows["simulation"]
    assert "300 hostile records" in rows["fuzz"]
    assert "seeds a second" in done.output
    assert "records a second of one core" in done.output


def test_the_figures_are_saved(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    run("--json", str(file))

    saved = {trial["what"]: trial for trial in json.loads(file.read_text())}
    assert [] == saved["fuzz"]["broken"]
    assert 300 == sum(saved["fuzz"]["figures"]["fates"].values())
    assert 3 == saved["simulation"]["figures"]["seeds"]


def test_what_is_broken_is_told_and_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topics.decode.clean", lambda text, limit: text)

    done = run()

    assert 1 == done.exit_code
    assert "BROKEN seed 1, batch 0, record" in done.output


@pytest.mark.parametrize("arguments", [["--kills", "0"], ["--only", "weather"], ["--seed", "-1"]])
def test_wrong_use_is_refused(arguments: list[str]) -> None:
    assert 2 == run(*arguments).exit_code
