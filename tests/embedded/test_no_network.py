"""The real clients against a proxy that is not there: no network, as far as they can tell."""

from pathlib import Path

import pytest

from ops.embedded import ServerError, ensure_kafka, ensure_letta, free_port
from ops.embedded.install import MARKER
from ops.embedded.progress import Quiet


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("ROLLCALL_CACHE_DIR", str(tmp_path / "cache"))


def test_kafka_cannot_be_installed_without_network_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="The Maven repository cannot be reached"):
        ensure_kafka(tmp_path / "data", free_port(), Quiet())

    assert list((tmp_path / "cache").rglob(MARKER)) == []


def test_letta_cannot_be_installed_without_network_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="The Python package index cannot be reached"):
        ensure_letta(tmp_path / "data", free_port(), Quiet())

    assert list((tmp_path / "cache").rglob(MARKER)) == []
