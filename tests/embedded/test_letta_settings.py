from pathlib import Path

import pytest

from ops.embedded import letta_bootstrap
from ops.embedded.letta import _environment
from ops.embedded.letta_install import explained


def test_letta_has_a_home_of_its_own_and_none_of_our_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")

    environment = _environment(tmp_path, "postgresql://")

    assert environment["HOME"] == str(tmp_path / "letta" / "home")
    assert environment["LETTA_PG_URI"] == "postgresql://"
    assert "OPENAI_API_KEY" not in environment


def test_a_log_that_grows_too_long_is_moved_aside_while_it_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(letta_bootstrap, "LOG_LIMIT", 10)
    log = tmp_path / "log"
    with log.open("a") as writer:
        writer.write("a long line before\n")
        writer.flush()

        letta_bootstrap.bound(str(log))
        writer.write("after\n")

    assert log.read_text() == "after\n"
    assert (tmp_path / "log.old").read_text() == "a long line before\n"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("error: Hash mismatch for `numpy==2.4.5`", "downloaded numpy==2.4.5 is not the one"),
        ("cause: No space left on device (os error 28)", "The disk became full"),
        ("error: Request failed\n cause: client error (Connect)", "index cannot be reached"),
        ("Using Python 3.11\nerror: something else\n", "installed: error: something else"),
        ("", "uv gave no reason"),
    ],
)
def test_what_uv_says_becomes_one_sentence(said: str, sentence: str) -> None:
    assert sentence in str(explained(Path("/cache/letta"), said))
