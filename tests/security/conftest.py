"""One secure broker for the session, and an environment without settings of the user's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.broker import Certificate, SecureBroker, new_certificate, secure_broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    folder = tmp_path_factory.mktemp("secure-kafka")
    made = secure_broker(folder, new_certificate(folder, "broker"))
    with made.server:
        yield made


@pytest.fixture
def stranger(tmp_path: Path) -> Certificate:
    """A certificate that the broker does not show."""
    return new_certificate(tmp_path, "stranger")


@pytest.fixture(autouse=True)
def _no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ROLLCALL_") and name != "ROLLCALL_CACHE_DIR":
            monkeypatch.delenv(name)
