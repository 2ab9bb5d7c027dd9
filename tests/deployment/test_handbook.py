"""The commands that README and docs show parse, and the variables they name are read."""

import re
from collections.abc import Iterator
from pathlib import Path
from shlex import shlex

import pytest

from tests.deployment.manifests import ROOT
from tests.deployment.told import VARIABLES, parsed

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
OF_OTHERS = {
    "ROLLCALL_CACHE_DIR",  # of the embedded servers
    "ROLLCALL_FIGURES",  # of the tests
    "ROLLCALL_TEST_EDITS",
}


def shown(page: Path) -> Iterator[str]:
    """What stands after rollcall in the lines with a prompt."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        yield from re.findall(r"^\$ (?:.* -- )?rollcall (.*)", block, re.MULTILINE)


def words(line: str) -> list[str]:
    """Up to the end of the command, comments left out."""
    reader = shlex(line, posix=True, punctuation_chars=True)
    reader.commenters = "#"
    reader.wordchars += ":,@"
    found = list(reader)
    ends = [number for number, word in enumerate(found) if set(word) <= set("|;&<>()")]
    return found[: ends[0]] if ends else found


COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in shown(page)]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_is_shown_parses(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for there in ("snapshots.ndjson", "game.ndjson"):
        (tmp_path / there).touch()
    monkeypatch.chdir(tmp_path)

    assert parsed(words(line)).command_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_that_is_named_is_read(page: Path) -> None:
    named = set(re.findall(r"ROLLCALL_[A-Z_]*[A-Z]\b", page.read_text()))

    assert set() == named - VARIABLES - OF_OTHERS
