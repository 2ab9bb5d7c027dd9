"""Who is let in by a real broker, and the one sentence for who is not."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from streams.settings import Settings
from streams.topology import Role, new_app
from tests.security.broker import MECHANISMS, SECRET, Certificate, SecureBroker
from topics.connection import KafkaConnection
from topics.handshake import NoEntryError, demand_entry
from topics.publisher import KafkaUnavailableError, Publisher

pytestmark = pytest.mark.integration

WAYS_IN = [("PLAINTEXT", None), ("SSL", None)] + [
    (protocol, mechanism) for protocol in ("SASL_PLAINTEXT", "SASL_SSL") for mechanism in MECHANISMS
]


def connect(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> KafkaConnection:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return KafkaConnection.from_environment()


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS_IN)
async def test_every_protocol_and_mechanism_lets_us_in(
    broker: SecureBroker,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    mechanism: str | None,
) -> None:
    connection = connect(monkeypatch, broker.environment(protocol, mechanism))

    await demand_entry(connection)
    admin = AIOKafkaAdminClient(**connection.client_options())
    await admin.start()
    await admin.list_topics()
    await admin.close()


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS_IN)
def test_faust_logs_in_as_our_own_clients_do(
    broker: SecureBroker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
    protocol: str,
    mechanism: str | None,
) -> None:
    connection = connect(monkeypatch, broker.environment(protocol, mechanism))
    monkeypatch.setenv("ROLLCALL_DATA_DIR", str(tmp_path))
    given: dict[str, object] = {}

    class Noting(AIOKafkaConsumer):  # type: ignore[misc] # it has no types
        def __init__(self, *_: object, **options: object) -> None:
            given.update(options)

    app: Any = new_app(Role.FILTER, Settings(), connection, wait_empty=True)
    monkeypatch.setattr("aiokafka.AIOKafkaConsumer", Noting)
    app.consumer._new_consumer_thread()._create_worker_consumer(app.transport)
    producer = {**app.producer._settings_default(), **app.producer._settings_auth()}

    expected = connection.client_options()
    for found in (given, producer):
        for name in ("security_protocol", "sasl_mechanism", "sasl_plain_username"):
            assert found.get(name) == expected.get(name)
        assert found.get("sasl_plain_password") == expected.get("sasl_plain_password")
        assert (found.get("ssl_context") is None) == (expected.get("ssl_context") is None)


async def refusal(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> str:
    connection = connect(monkeypatch, environment)
    with pytest.raises(NoEntryError) as refused:
        await demand_entry(connection)
    message = str(refused.value)
    assert "\n" not in message
    assert SECRET not in message
    with pytest.raises(NoEntryError, match=r"Kafka at 127\.0\.0\.1"):
        await Publisher(connection).start()
    return message


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password_names_the_variables(
    broker: SecureBroker, monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    environment = broker.environment("SASL_SSL", mechanism)
    wrong = {"ROLLCALL_KAFKA_SASL_PASSWORD": f"not-{SECRET}"}

    message = await refusal(monkeypatch, environment | wrong)

    assert "refuses the user 'rollcall': wrong ROLLCALL_KAFKA_SASL_USERNAME or" in message


async def test_a_certificate_of_a_stranger_is_not_trusted(
    broker: SecureBroker, monkeypatch: pytest.MonkeyPatch, stranger: Certificate
) -> None:
    trusting = {"ROLLCALL_KAFKA_TLS_CA_FILE": str(stranger.certificate)}

    message = await refusal(monkeypatch, broker.environment("SASL_SSL", "PLAIN") | trusting)

    assert "is not trusted: self-signed certificate; ROLLCALL_KAFKA_TLS_CA_FILE" in message


async def test_a_certificate_for_another_host_is_not_trusted(
    broker: SecureBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(
        monkeypatch,
        broker.environment("SSL") | {"ROLLCALL_BROKER": f"localhost:{broker.ports['SSL']}"},
    )

    with pytest.raises(NoEntryError, match="not trusted: Hostname mismatch"):
        await demand_entry(connection)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SSL", "PLAINTEXT"),
        ("PLAINTEXT", "SSL"),
        ("PLAINTEXT", "SASL_PLAINTEXT"),
        ("SASL_PLAINTEXT", "PLAINTEXT"),
    ],
)
async def test_protocols_that_differ_name_the_variable(
    broker: SecureBroker, monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str
) -> None:
    mechanism = "PLAIN" if ours.startswith("SASL") else None
    elsewhere = {"ROLLCALL_BROKER": f"127.0.0.1:{broker.ports[theirs]}"}

    message = await refusal(monkeypatch, broker.environment(ours, mechanism) | elsewhere)

    assert f"ROLLCALL_KAFKA_SECURITY_PROTOCOL is {ours}" in message


async def test_a_broker_may_ask_for_our_certificate(
    broker: SecureBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"ROLLCALL_BROKER": f"127.0.0.1:{broker.ports['MUTUAL']}"}
    ours = {
        "ROLLCALL_KAFKA_TLS_CERT_FILE": str(broker.certificate.certificate),
        "ROLLCALL_KAFKA_TLS_KEY_FILE": str(broker.certificate.key),
    }

    message = await refusal(monkeypatch, broker.environment("SSL") | elsewhere)

    assert "ROLLCALL_KAFKA_SECURITY_PROTOCOL is SSL" in message
    await demand_entry(connect(monkeypatch, ours))


async def test_nobody_there_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(monkeypatch, {"ROLLCALL_BROKER": "127.0.0.1:1"})

    await demand_entry(connection)
    with pytest.raises(KafkaUnavailableError):
        await Publisher(connection).start()
