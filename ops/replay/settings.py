"""The settings that decisions depend on, and others in their place. Pure.

mode staleness stale_data_threshold force_refresh_interval settle_seconds
player_cache_ttl max_group_members max_clock_ahead
"""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from streams.settings import Settings

DECISIVE = (
    *("mode", "staleness", "stale_data_threshold", "force_refresh_interval", "settle_seconds"),
    *("player_cache_ttl", "max_group_members", "max_clock_ahead"),
)

_PREFIX = "ROLLCALL_"


class WrongSettingError(ValueError):
    """One sentence that names the setting."""


def assignments(text: str) -> dict[str, str]:
    """`name=value`, several separated by commas or line ends, as in an environment file.

    `ROLLCALL_STALE_DATA_THRESHOLD=60` is the same as `stale_data_threshold=60`. Raises
    WrongSettingError.
    """
    parts = [part.strip() for line in text.splitlines() for part in line.split(",")]
    return dict(_assignment(part) for part in parts if part and not part.startswith("#"))


def changed(settings: Settings, values: Mapping[str, str]) -> Settings:
    """The settings with some others. Raises WrongSettingError."""
    kept = {name: getattr(settings, name) for name in DECISIVE}
    try:
        return Settings(**kept | dict(values))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise WrongSettingError(f"{first['loc'][0]}: {first['msg']}") from None


def named(settings: Settings, names: Iterable[str]) -> str:
    """`name=value` of each, for a heading."""
    return ", ".join(f"{name}={_plain(getattr(settings, name))}" for name in names)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.strip().removeprefix("export ").strip().removeprefix(_PREFIX).lower()
    if not equals:
        raise WrongSettingError(f"{text[:60]!r} is no name=value")
    if name not in DECISIVE:
        raise WrongSettingError(
            f"no decision depends on {name[:60]!r}; those that count are {', '.join(DECISIVE)}"
        )
    return name, value.strip().strip("\"'")


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
