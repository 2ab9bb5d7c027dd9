"""`ops/deploy/systemd`: units that systemd knows every word of, and that fit the program.

`systemd.directives` is what `systemd --dump-configuration-items` of systemd 252 names in the
sections used here.
"""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from shlex import split

import pytest

from streams.settings import Settings
from streams.topology import Role
from streams.worker import STOP_MARGIN
from tests.deployment.told import VARIABLES, parsed, words_of

FOLDER = Path(__file__).parents[2] / "ops" / "deploy" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
WORKER, LAG = FOLDER / "rollcall-worker@.service", FOLDER / "rollcall-lag.service"
UNITS = sorted([*FOLDER.rglob("*.service"), *FOLDER.rglob("*.conf")])
SETTINGS = sorted(FOLDER.glob("*.env"))


def directives() -> dict[str, set[str]]:
    """By section."""
    text = Path(__file__).with_name("systemd.directives").read_text()
    sections = [part.split() for part in text.split("[")[1:]]
    return {section.rstrip("]"): set(names) for section, *names in sections}


def lines(file: Path) -> list[tuple[str, str, str]]:
    """Section, name and value; a name may come more than once."""
    section, found = "", []
    for line in file.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.append((section, name, value))
    return found


def values(file: Path, wanted: str) -> list[str]:
    """Of a directive, with %i for the filter."""
    return [value.replace("%i", "filter") for _, name, value in lines(file) if name == wanted]


def settings_of(file: Path) -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are not lowered
    parser.read_string("[all]\n" + file.read_text())
    return dict(parser["all"])


def seconds(file: Path) -> float:
    return float(values(file, "TimeoutStopSec")[0])


def verify(folder: Path, unit: str) -> str:
    """What systemd-analyze says of a unit of the folder."""
    done = subprocess.run(
        [ANALYZE or "", "verify", unit],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as on a machine where the program exists."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    for unit in folder.glob("*.service"):
        [program] = {split(value)[0] for value in values(unit, "ExecStart")}
        unit.write_text(unit.read_text().replace(program, "/bin/true"))
    return folder


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_knows_every_directive(file: Path) -> None:
    known = directives()

    assert [] == [name for section, name, _ in lines(file) if name not in known[section]]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", [*(f"rollcall-worker@{role}" for role in Role), "rollcall-lag"])
def test_systemd_finds_nothing_wrong(unit: str, installed: Path) -> None:
    assert "" == verify(installed, f"{unit}.service")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_would_tell_of_a_misspelt_directive(installed: Path) -> None:
    unit = installed / LAG.name
    unit.write_text(unit.read_text().replace("TimeoutStopSec", "TimeoutStopSek"))

    assert "Unknown key 'TimeoutStopSek'" in verify(installed, LAG.name)


@pytest.mark.parametrize(("file", "command"), [(WORKER, "worker"), (LAG, "lag")])
def test_a_unit_runs_a_command_there_is(file: Path, command: str) -> None:
    [line] = values(file, "ExecStart")

    context = parsed(split(line)[1:])

    assert command == words_of(context)


def test_a_worker_runs_the_role_it_is_named_after() -> None:
    [line] = values(WORKER, "ExecStart")

    assert ["filter"] == parsed(split(line)[1:]).params["roles"]


def test_a_worker_is_killed_only_after_it_would_have_left() -> None:
    drain = float(settings_of(FOLDER / "rollcall.env")["ROLLCALL_DRAIN_TIMEOUT"])

    assert ["SIGTERM"] == values(WORKER, "KillSignal")
    assert seconds(WORKER) > drain + STOP_MARGIN


def test_who_left_for_a_fault_is_started_again_however_often() -> None:
    assert ["on-failure"] == values(WORKER, "Restart")
    assert ["0"] == values(WORKER, "StartLimitIntervalSec")


def test_a_worker_has_a_folder_where_it_looks_for_one() -> None:
    [folder] = values(WORKER, "StateDirectory")

    assert f"ROLLCALL_DATA_DIR=%S/{folder}" in values(WORKER, "Environment")


@pytest.mark.parametrize("file", [*UNITS, *SETTINGS], ids=lambda file: file.name)
def test_every_variable_is_one_that_somebody_reads(file: Path) -> None:
    named = set(re.findall(r"ROLLCALL_[A-Z_]+", file.read_text()))

    assert set() == named - VARIABLES


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.name)
def test_a_worker_starts_with_the_settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings_of(file)
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.model_fields_set >= {
        name.removeprefix("ROLLCALL_").lower() for name in told if name != "ROLLCALL_BROKER"
    }


def test_each_role_has_settings_and_a_port_of_its_own() -> None:
    ports = {role: settings_of(FOLDER / f"{role}.env")["ROLLCALL_METRICS_PORT"] for role in Role}

    assert {"/etc/rollcall/rollcall.env", "-/etc/rollcall/filter.env"} == set(
        values(WORKER, "EnvironmentFile")
    )
    assert len(Role) == len(set(ports.values()))
