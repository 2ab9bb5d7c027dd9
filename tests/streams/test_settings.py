"""Settings of a worker: what may be set, and how a wrong value is told."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from ops.failure import wrong_settings
from streams.settings import Mode, Settings, Staleness


@pytest.fixture(autouse=True)
def _no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ROLLCALL_"):
            monkeypatch.delenv(name)


def complaint(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    return wrong_settings(caught.value)


def test_without_any_setting_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings()

    assert (settings.mode, settings.staleness) == (Mode.CACHED, Staleness.GAP)
    assert settings.stale_data_threshold == 30
    assert settings.force_refresh_interval == 300
    assert settings.player_cache_ttl == 3600
    assert settings.settle_seconds == 0
    assert settings.letta_url == "http://127.0.0.1:8283"
    assert (settings.letta_token, settings.metrics_port) == (None, None)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MODE": "filtered",
        "STALENESS": "seed",
        "STALE_DATA_THRESHOLD": "12.5",
        "METRICS_PORT": "0",
        "DATA_DIR": "/srv/rollcall",
        "LETTA_TOKEN": "hush-8f1c",
    }.items():
        monkeypatch.setenv(f"ROLLCALL_{name}", value)

    settings = Settings()

    assert (settings.mode, settings.staleness) == (Mode.FILTERED, Staleness.SEED)
    assert (settings.stale_data_threshold, settings.metrics_port) == (12.5, 0)
    assert settings.data_dir == Path("/srv/rollcall")
    assert settings.letta_token
    assert settings.letta_token.get_secret_value() == "hush-8f1c"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROLLCALL_MODE", "turbo"),
        ("ROLLCALL_STALENESS", "old"),
        ("ROLLCALL_STALE_DATA_THRESHOLD", "0"),
        ("ROLLCALL_STALE_DATA_THRESHOLD", "-1"),
        ("ROLLCALL_STALE_DATA_THRESHOLD", "soon"),
        ("ROLLCALL_STALE_DATA_THRESHOLD", "nan"),
        ("ROLLCALL_FORCE_REFRESH_INTERVAL", "0"),
        ("ROLLCALL_FORCE_REFRESH_INTERVAL", "nan"),
        ("ROLLCALL_SETTLE_SECONDS", "-0.1"),
        ("ROLLCALL_PLAYER_CACHE_TTL", "0"),
        ("ROLLCALL_MAX_GROUP_MEMBERS", "0"),
        ("ROLLCALL_MAX_GROUP_MEMBERS", "100000"),
        ("ROLLCALL_LETTA_CONCURRENCY", "0"),
        ("ROLLCALL_LETTA_TIMEOUT", "0"),
        ("ROLLCALL_METRICS_PORT", "65536"),
        ("ROLLCALL_METRICS_PORT", "-1"),
        ("ROLLCALL_METRICS_PORT", "http"),
        ("ROLLCALL_SESSION_TIMEOUT", "1"),
        ("ROLLCALL_LOG_FORMAT", "xml"),
        ("ROLLCALL_LOG_LEVEL", "chatty"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert complaint(monkeypatch, name, value).startswith(f"{name}: ")


def test_several_wrong_values_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_MODE", "turbo")

    told = complaint(monkeypatch, "ROLLCALL_LOG_LEVEL", "chatty")

    assert "ROLLCALL_MODE" in told
    assert "ROLLCALL_LOG_LEVEL" in told


def test_no_setting_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_LETTA_TOKEN", "hush-8f1c")

    settings = Settings()

    assert "hush-8f1c" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_every_setting_says_what_it_is_for() -> None:
    undocumented = [
        name for name, field in Settings.model_fields.items() if len(field.description or "") < 20
    ]

    assert undocumented == []
