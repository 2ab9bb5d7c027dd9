"""How to reach Kafka, from the environment: address, TLS, SASL and the topic prefix.

A wrong value is a `ConnectionSettingsError` with one sentence per variable, which never shows a
secret. Used by the publisher in a game server, and by every part of rollcall.
"""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.catalogue import NPC_UPDATE_COMMANDS, topic_name

DEFAULT_PORT: Final = 9092

_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)"
_ADDRESS = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?")
_ENVIRONMENT_NAMES: Final = {"broker": "ROLLCALL_BROKER", "topic_prefix": "ROLLCALL_TOPIC_PREFIX"}

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class ConnectionSettingsError(ValueError):
    """Settings that cannot be used; the message names the environment variable."""


class KafkaConnection(BaseSettings):
    """The address and the security of one Kafka cluster."""

    model_config = SettingsConfigDict(
        env_prefix="ROLLCALL_KAFKA_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    broker: str = Field("kafka://127.0.0.1:9092", validation_alias="ROLLCALL_BROKER")
    """Where Kafka is: `kafka://host:port`, or several separated by "," or ";". The scheme may be
    left out, and a missing port is 9092."""

    topic_prefix: str = Field("", validation_alias="ROLLCALL_TOPIC_PREFIX")
    """Put before every topic name, so that several games can share a cluster; empty: none."""

    security_protocol: SecurityProtocol = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as the broker's listener has it."""

    sasl_mechanism: SaslMechanism | None = None
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; None: PLAIN where the protocol has SASL."""

    sasl_username: str | None = None
    """The user; needed with SASL, and None without."""

    sasl_password: SecretStr | None = None
    """The password; needed with SASL, here or in a file. Never logged."""

    sasl_password_file: Path | None = None
    """A file that holds the password, as Docker and Kubernetes mount secrets; white space at its
    end is ignored. None: the password is given directly, or not needed."""

    tls_ca_file: Path | None = None
    """PEM file of the authorities that signed the broker's certificate; None: the system's own."""

    tls_cert_file: Path | None = None
    """PEM file of our certificate, where the broker asks for one; None: it does not."""

    tls_key_file: Path | None = None
    """PEM file of the certificate's private key, not encrypted; None: it is in the cert file."""

    @classmethod
    def from_environment(cls, **values: Any) -> Self:
        """The settings of the environment; `values` win over it. ConnectionSettingsError."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConnectionSettingsError(explain(error)) from None

    @field_validator("broker")
    @classmethod
    def _has_addresses(cls, broker: str) -> str:
        addresses(broker)
        return broker

    @field_validator("topic_prefix")
    @classmethod
    def _fits_a_topic_name(cls, prefix: str) -> str:
        topic_name(prefix, NPC_UPDATE_COMMANDS)
        return prefix

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for complaint in self._complaints():
            raise ValueError(complaint)
        return self

    def _complaints(self) -> list[str]:
        protocol, found = f"ROLLCALL_KAFKA_SECURITY_PROTOCOL is {self.security_protocol}", []
        sasl = (self.sasl_username, self.sasl_password, self.sasl_password_file)
        if not self.uses_sasl and any((*sasl, self.sasl_mechanism)):
            found.append(f"{protocol}, so the ROLLCALL_KAFKA_SASL_ settings would not be used")
        if self.uses_sasl and not self.sasl_username:
            found.append(f"{protocol}, so ROLLCALL_KAFKA_SASL_USERNAME is needed")
        if self.uses_sasl and not any(sasl[1:]):
            found.append(f"{protocol}, so ROLLCALL_KAFKA_SASL_PASSWORD (or _FILE) is needed")
        if all(sasl[1:]):
            found.append(
                "ROLLCALL_KAFKA_SASL_PASSWORD and its _FILE are both given, only one may be"
            )
        tls = (self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
        if not self.uses_tls and any(tls):
            found.append(f"{protocol}, so the ROLLCALL_KAFKA_TLS_ settings would not be used")
        if self.tls_key_file and not self.tls_cert_file:
            found.append(
                "ROLLCALL_KAFKA_TLS_KEY_FILE is given without ROLLCALL_KAFKA_TLS_CERT_FILE"
            )
        return found

    @property
    def uses_sasl(self) -> bool:
        """Whether the broker asks for a user and a password."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        """Whether the line to the broker is encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def bootstrap_servers(self) -> list[str]:
        """`host:port` of each broker named."""
        return addresses(self.broker)

    def topic(self, name: str) -> str:
        """The name on the broker of a topic of the catalogue."""
        return topic_name(self.topic_prefix, name)

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings, None without TLS. ConnectionSettingsError where a file is of no use."""
        if not self.uses_tls:
            return None
        with _told("ROLLCALL_KAFKA_TLS_CA_FILE", self.tls_ca_file):
            context = ssl.create_default_context(cafile=self.tls_ca_file)
        with _told("ROLLCALL_KAFKA_TLS_KEY_FILE", self.tls_key_file):
            pass
        if self.tls_cert_file:
            with _told("ROLLCALL_KAFKA_TLS_CERT_FILE", self.tls_cert_file):
                # Without a password here, OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.tls_cert_file, self.tls_key_file, password="")
        return context

    def password(self) -> str | None:
        """The SASL password, from the setting or its file. ConnectionSettingsError."""
        if self.sasl_password_file is None:
            return self.sasl_password.get_secret_value() if self.sasl_password else None
        try:
            return self.sasl_password_file.read_text().rstrip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConnectionSettingsError(
                f"ROLLCALL_KAFKA_SASL_PASSWORD_FILE {self.sasl_password_file}: {reason}"
            ) from None

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of any aiokafka client: address and security, the password in clear."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.uses_tls:
            options["ssl_context"] = self.ssl_context()
        if self.uses_sasl:
            options["sasl_mechanism"] = self.sasl_mechanism or "PLAIN"
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.password()
        return options


@contextmanager
def _told(variable: str, file: Path | None) -> Iterator[None]:
    """Opens the file of a TLS setting, and turns what fails into a sentence that names both."""
    try:
        if file is not None:
            with file.open("rb"):
                pass  # OpenSSL does not say which of two files is missing
        yield
    except ssl.SSLError as error:
        reason = error.reason or "unusable"
        raise ConnectionSettingsError(f"{variable} {file}: {reason}") from None
    except OSError as error:
        raise ConnectionSettingsError(f"{variable} {file}: {error.strerror}") from None


def addresses(broker: str) -> list[str]:
    """`host:port` of each broker in a list of addresses. ValueError names what is wrong."""
    found = [_address(part) for part in re.split("[,;]", broker) if part.strip()]
    if not found:
        raise ValueError("no broker address; kafka://host:port is expected")
    return found


def explain(error: ValidationError) -> str:
    """A pydantic error as sentences that name the environment variable, without the value."""
    return "; ".join(_sentence(details["loc"], details["msg"]) for details in error.errors())


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    reason = message.removeprefix("Value error, ")
    if not location:
        return reason
    field = str(location[0])
    prefixed = field if field.startswith("ROLLCALL_") else f"ROLLCALL_KAFKA_{field.upper()}"
    return f"{_ENVIRONMENT_NAMES.get(field, prefixed)}: {reason}"


def _address(part: str) -> str:
    scheme, separator, rest = part.strip().rpartition("://")
    if separator and scheme != "kafka":
        raise ValueError(f"unknown scheme {scheme[:20]}://, only kafka:// is known")
    if "@" in rest:
        raise ValueError("a user in the address; use ROLLCALL_KAFKA_SASL_USERNAME and _PASSWORD")
    match = _ADDRESS.fullmatch(rest.rstrip("/"))
    if match is None or not 0 < int(match["port"] or DEFAULT_PORT) < 65536:
        raise ValueError(f"{rest[:60]!r} is no address, host:port is expected")
    return f"{match['host']}:{match['port'] or DEFAULT_PORT}"
