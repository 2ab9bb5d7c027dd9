"""Why a broker that is there does not let us in, told in one sentence.

aiokafka logs the reason and then only says that it could not connect. `demand_entry` makes one
connection by itself and translates what comes of it:

    wrong user or password              the two variables
    a mechanism the broker has not      the mechanisms it has
    a certificate nobody we trust made  the variable of the authorities
    TLS on one side only                the variable of the protocol

A broker that does not answer at all is no refusal: its clients wait and try again. Secrets never
stand in a message.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from topics.connection import ConnectionSettingsError, KafkaConnection

PATIENCE_MS = 5_000
"""Milliseconds a broker may take to greet; a slower one counts as not there."""


class NoEntryError(ConnectionSettingsError):
    """A broker is there and refuses us; the message is one sentence for the user."""


async def demand_entry(connection: KafkaConnection) -> None:
    """NoEntryError if the first broker that answers refuses us; also ConnectionSettingsError."""
    options = connection.client_options()
    for server in options.pop("bootstrap_servers"):
        host, _, port = server.rpartition(":")
        try:
            await _greet(host.strip("[]"), int(port), options)
        except (OSError, KafkaError, ValueError, AssertionError) as error:
            if not _is_absence(error):
                raise NoEntryError(_sentence(server, connection, error)) from None
        else:
            return


async def _greet(host: str, port: int, options: Mapping[str, Any]) -> None:
    conn = await create_conn(host, port, request_timeout_ms=PATIENCE_MS, **options)
    try:
        # A listener that wants SASL greets everybody, and only then asks who it is.
        await conn.send(MetadataRequest([]))
    finally:
        conn.close()


def _is_absence(error: Exception) -> bool:
    """Nobody there, no name, no way, or too busy: not about TLS and passwords."""
    if isinstance(error, RequestTimedOutError):
        return True
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError | ConnectionResetError)


def _sentence(server: str, connection: KafkaConnection, error: Any) -> str:
    protocol = f"ROLLCALL_KAFKA_SECURITY_PROTOCOL is {connection.security_protocol}"
    match error:
        case SaslAuthenticationFailed():
            return (
                f"Kafka at {server} refuses the user {connection.sasl_username!r}: wrong "
                "ROLLCALL_KAFKA_SASL_USERNAME or ROLLCALL_KAFKA_SASL_PASSWORD (or _FILE)"
            )
        case UnsupportedSaslMechanismError():
            mechanism = connection.sasl_mechanism or "PLAIN"
            return f"Kafka at {server} does not take ROLLCALL_KAFKA_SASL_MECHANISM {mechanism}"
        case ssl.SSLCertVerificationError():
            reason = error.verify_message.rstrip(".")
            return (
                f"the certificate of Kafka at {server} is not trusted: {reason}; "
                "ROLLCALL_KAFKA_TLS_CA_FILE names the authorities to trust"
            )
        case ssl.SSLError():
            return f"Kafka at {server} and we do not agree on TLS ({error.reason}); {protocol}"
        case KafkaConnectionError() | ConnectionResetError():
            return f"Kafka at {server} ends the connection without a word; {protocol}"
    return f"Kafka at {server} does not let us in ({type(error).__name__}); {protocol}"
