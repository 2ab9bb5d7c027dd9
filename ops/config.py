"""`rollcall config`: every setting with its value, where it comes from and what it means.

Secrets are masked, also those inside of addresses. A value that would be refused is told as such,
without being shown.
"""

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum

import click
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from streams.settings import Settings
from topics.connection import KafkaConnection

MASK = "********"
_USER_IN_URL = re.compile(r"(?<=//)[^/@\s]*@")
_ELSEWHERE = {
    "ROLLCALL_CACHE_DIR": "Folder of the embedded servers' installations.",
}
"""Variables read outside of the settings classes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the answer. `wrong`: why the value is refused, or None."""

    name: str
    value: str | None
    source: str
    description: str
    wrong: str | None = None


def settings_of(kind: type[BaseSettings], environment: Mapping[str, str]) -> list[Setting]:
    """Every setting of a class as this environment has it."""
    values, wrong = _read(kind)
    return [
        _setting(_variable(kind, name, info), name, info, environment, values, wrong)
        for name, info in kind.model_fields.items()
    ]


def _setting(
    variable: str,
    name: str,
    info: FieldInfo,
    environment: Mapping[str, str],
    values: Mapping[str, object],
    wrong: Mapping[str, str],
) -> Setting:
    value = values[name] if name in values else _given(variable, info, environment)
    return Setting(
        name=variable,
        value=None if name in wrong else _shown(value),
        source=_source(variable, environment, values),
        description=" ".join((info.description or "").split()),
        wrong=wrong.get(name),
    )


def _given(variable: str, info: FieldInfo, environment: Mapping[str, str]) -> object:
    """The value as it was given, where the settings as a whole were refused."""
    text = next((environment[n] for n in environment if n.upper() == variable), "")
    if not text:
        return info.get_default()
    return SecretStr(text) if "SecretStr" in str(info.annotation) else text


def unknown_variables(environment: Mapping[str, str], known: set[str]) -> list[str]:
    """A sentence for each `ROLLCALL_*` variable that nothing reads."""
    strangers = sorted(
        name for name in environment if name.upper().startswith("ROLLCALL_") and name not in known
    )
    return [_stranger(name, known) for name in strangers if name.upper() not in known]


def _read(kind: type[BaseSettings]) -> tuple[dict[str, object], dict[str, str]]:
    """The values, or why some are refused, by field; a refusal of the whole stands under each."""
    try:
        settings = kind()
    except ValidationError as error:
        return {}, _refusals(kind, error)
    return {name: getattr(settings, name) for name in kind.model_fields}, {}


def _refusals(kind: type[BaseSettings], error: ValidationError) -> dict[str, str]:
    variables = {_variable(kind, name, info): name for name, info in kind.model_fields.items()}
    refusals: dict[str, str] = {}
    for details in error.errors(include_input=False, include_url=False):
        reason = details["msg"].removeprefix("Value error, ")
        where = str(details["loc"][0]) if details["loc"] else _named_in(reason, variables)
        refusals[variables.get(where, where.lower())] = reason
    return refusals


def _named_in(reason: str, variables: Mapping[str, str]) -> str:
    """The variable that a refusal of several settings together names first."""
    named = [word for word in re.findall(r"\w+", reason) if word in variables]
    return named[0] if named else next(iter(variables))


def _variable(kind: type[BaseSettings], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    return str(alias) if alias else f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _source(variable: str, environment: Mapping[str, str], values: Mapping[str, object]) -> str:
    given = {name.upper() for name, value in environment.items() if value}
    if variable.upper() in given:
        return "environment"
    name = variable.removeprefix("ROLLCALL_").removeprefix("KAFKA_").lower()
    if values.get(f"{name}_file"):
        return "file"
    return "default"


def _shown(value: object) -> str | None:
    match value:
        case None:
            return None
        case SecretStr():
            return MASK
        case Enum():
            return str(value.value)
    return _USER_IN_URL.sub(f"{MASK}@", str(value))


def _stranger(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    guess = f"; did you mean {close[0]}?" if close else "."
    return f"{name} is set, but nothing reads it{guess}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(as_json: bool) -> None:
    """Print every setting with its value, source and meaning.

    Settings are environment variables. The source is `environment`, `file` (a secret read from
    the file that a *_FILE variable names) or `default`. Secrets are masked. Exits with 1 when a
    value would be refused.
    """
    found = [*settings_of(KafkaConnection, os.environ), *settings_of(Settings, os.environ)]
    found += [
        Setting(name, os.environ.get(name), _source(name, os.environ, {}), meaning)
        for name, meaning in _ELSEWHERE.items()
    ]
    strangers = unknown_variables(os.environ, {setting.name for setting in found})
    if as_json:
        click.echo(json.dumps([asdict(setting) for setting in found], indent=2))
    else:
        _print(found)
    for sentence in strangers:
        click.echo(f"Note: {sentence}", err=True)
    refused = [setting for setting in found if setting.wrong]
    for setting in refused:
        named = "" if setting.name in (setting.wrong or "") else f"{setting.name}: "
        click.echo(f"Error: {named}{setting.wrong}", err=True)
    raise SystemExit(1 if refused else 0)


def _print(settings: list[Setting]) -> None:
    console = Console(highlight=False)
    for setting in settings:
        value = "(refused)" if setting.wrong else setting.value or "(none)"
        line = Text.assemble((setting.name, "bold"), f" = {value}  ", (setting.source, "dim"))
        console.print(line, soft_wrap=True)
        console.print(Padding(Text(setting.description), (0, 0, 0, 4)))
