"""`rollcall config`: values, sources, masks, refusals."""

import json
import os

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from ops.config import MASK


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ROLLCALL_"):
            monkeypatch.delenv(name)


def config(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env=environment)


def settings(**environment: str) -> dict[str, dict[str, str]]:
    found = json.loads(config("--json", **environment).stdout)
    return {setting["name"]: setting for setting in found}


def test_every_setting_has_a_name_and_a_meaning() -> None:
    found = settings()

    assert {"ROLLCALL_BROKER", "ROLLCALL_LETTA_URL", "ROLLCALL_MODE"} <= found.keys()
    assert all(name.startswith("ROLLCALL_") for name in found)
    assert all(setting["description"] for setting in found.values())


def test_the_source_of_a_value_is_told() -> None:
    found = settings(ROLLCALL_MODE="direct")

    assert (found["ROLLCALL_MODE"]["value"], found["ROLLCALL_MODE"]["source"]) == (
        "direct",
        "environment",
    )
    assert (found["ROLLCALL_BROKER"]["value"], found["ROLLCALL_BROKER"]["source"]) == (
        "kafka://127.0.0.1:9092",
        "default",
    )


def test_a_secret_is_masked() -> None:
    result = config(ROLLCALL_LETTA_TOKEN="geheim")

    assert "geheim" not in result.output
    assert f"ROLLCALL_LETTA_TOKEN = {MASK}" in result.stdout


def test_a_secret_is_masked_while_another_setting_is_wrong() -> None:
    result = config(ROLLCALL_LETTA_TOKEN="geheim", ROLLCALL_MODE="fast")

    assert result.exit_code == 1
    assert "geheim" not in result.output
    assert "ROLLCALL_MODE: Input should be" in result.stderr


def test_a_password_inside_an_address_is_masked() -> None:
    result = config(ROLLCALL_LETTA_URL="https://me:geheim@letta.example")

    assert "geheim" not in result.output
    assert f"https://{MASK}@letta.example" in result.stdout


def test_a_refused_address_is_not_shown() -> None:
    result = config(ROLLCALL_BROKER="kafka://me:geheim@broker")

    assert result.exit_code == 1
    assert "geheim" not in result.output
    assert "ROLLCALL_BROKER = (refused)" in result.stdout


def test_a_secret_from_a_file_is_told_as_such() -> None:
    found = settings(
        ROLLCALL_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        ROLLCALL_KAFKA_SASL_USERNAME="me",
        ROLLCALL_KAFKA_SASL_PASSWORD_FILE="/run/secrets/kafka",
    )

    assert found["ROLLCALL_KAFKA_SASL_PASSWORD"]["source"] == "file"


def test_settings_that_contradict_each_other_are_told() -> None:
    result = config(ROLLCALL_KAFKA_SASL_PASSWORD="geheim")

    assert result.exit_code == 1
    assert "geheim" not in result.output
    assert "ROLLCALL_KAFKA_SECURITY_PROTOCOL is PLAINTEXT" in result.stderr


def test_a_mistyped_variable_is_told() -> None:
    result = config(ROLLCALL_LETA_URL="http://x")

    assert result.exit_code == 0
    assert (
        "ROLLCALL_LETA_URL is set, but nothing reads it; did you mean ROLLCALL_LETTA_URL?"
        in result.stderr
    )
