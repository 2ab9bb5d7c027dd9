"""Secrets come from the environment or from files, and stay where they are."""

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from ops.cli import main
from ops.failure import wrong_settings
from streams.settings import Settings
from tests.security.broker import new_certificate
from topics.connection import ConnectionSettingsError, KafkaConnection

TOKEN = "letta-t0ken-Zr4-never-to-be-seen"


def test_lettas_token_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN_FILE", str(tmp_path / "token"))

    settings = Settings()

    assert settings.letta_token
    assert settings.letta_token.get_secret_value() == TOKEN
    assert TOKEN not in f"{settings} {settings!r} {settings.model_dump()}"


def test_an_empty_name_of_a_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN_FILE", "")

    assert Settings().letta_token is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff\xfe", "not UTF-8 text")],
)
def test_a_token_file_that_cannot_be_read_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN_FILE", str(file))

    assert refusal() == f"ROLLCALL_LETTA_TOKEN_FILE: Value error, {file}: {reason}"


def test_a_token_given_twice_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN", TOKEN)

    message = refusal()

    assert "only one may be" in message
    assert TOKEN not in message
    shown = CliRunner().invoke(main, ["config"])
    assert shown.exit_code == 1
    assert TOKEN not in shown.output


def refusal() -> str:
    with pytest.raises(ValidationError) as caught:
        Settings()
    return wrong_settings(caught.value)


@pytest.mark.integration
def test_letta_listens_on_loopback_only(letta_url: str) -> None:
    port = urlsplit(letta_url).port

    addresses = {
        each.laddr.ip
        for each in psutil.net_connections(kind="inet")
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }

    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["CA", "CERT", "KEY"])
def test_a_tls_file_that_is_missing_or_nonsense_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    made = new_certificate(tmp_path, "ours")
    monkeypatch.setenv("ROLLCALL_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("ROLLCALL_KAFKA_TLS_CA_FILE", str(made.certificate))
    monkeypatch.setenv("ROLLCALL_KAFKA_TLS_CERT_FILE", str(made.certificate))
    monkeypatch.setenv("ROLLCALL_KAFKA_TLS_KEY_FILE", str(made.key))
    assert KafkaConnection.from_environment().ssl_context()
    variable, file = f"ROLLCALL_KAFKA_TLS_{name}_FILE", tmp_path / "other.pem"
    monkeypatch.setenv(variable, str(file))

    with pytest.raises(ConnectionSettingsError) as missing:
        KafkaConnection.from_environment().ssl_context()
    file.write_text("nonsense")
    with pytest.raises(ConnectionSettingsError, match="ROLLCALL_KAFKA_TLS_"):
        KafkaConnection.from_environment().ssl_context()

    assert str(missing.value) == f"{variable} {file}: No such file or directory"
