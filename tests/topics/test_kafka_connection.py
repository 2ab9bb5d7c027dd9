import ssl
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from topics.connection import ConnectionSettingsError, KafkaConnection, addresses

SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KafkaConnection.model_fields:
        monkeypatch.delenv(f"ROLLCALL_KAFKA_{name.upper()}", raising=False)
    monkeypatch.delenv("ROLLCALL_BROKER", raising=False)
    monkeypatch.delenv("ROLLCALL_TOPIC_PREFIX", raising=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


def refusal() -> str:
    with pytest.raises(ConnectionSettingsError) as caught:
        KafkaConnection.from_environment()
    return str(caught.value)


def set_all(environment: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        environment.setenv(f"ROLLCALL_{name}", str(value))


def test_without_settings_it_is_the_broker_on_this_machine_without_security() -> None:
    connection = KafkaConnection.from_environment()

    assert connection.client_options() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "PLAINTEXT",
    }
    assert connection.topic("locations") == "locations"


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ("kafka://kafka:9092", ["kafka:9092"]),
        ("kafka", ["kafka:9092"]),
        ("kafka://a:1,b:2", ["a:1", "b:2"]),
        ("kafka://a:1;kafka://b:2", ["a:1", "b:2"]),
        (" a:1 ; b:2, ", ["a:1", "b:2"]),
        ("kafka://[::1]:9092/", ["[::1]:9092"]),
        ("kafka-0.kafka.svc.cluster.local:9093", ["kafka-0.kafka.svc.cluster.local:9093"]),
    ],
)
def test_a_broker_address_in_every_spelling(broker: str, expected: list[str]) -> None:
    assert addresses(broker) == expected


@pytest.mark.parametrize(
    "broker",
    [",", "http://kafka:9092", "kafka:port", "kafka:0", "kafka:70000", "a b:1", "::1", "kafka://"],
)
def test_a_wrong_broker_address_is_one_sentence_that_names_the_variable(
    environment: pytest.MonkeyPatch, broker: str
) -> None:
    set_all(environment, BROKER=broker)

    message = refusal()

    assert message.startswith("ROLLCALL_BROKER: ")
    assert "\n" not in message
    assert "pydantic" not in message


def test_a_password_in_the_address_is_refused_and_not_shown(
    environment: pytest.MonkeyPatch,
) -> None:
    set_all(environment, BROKER=f"kafka://me:{SECRET}@kafka:9092")

    message = refusal()

    assert "ROLLCALL_KAFKA_SASL_USERNAME" in message
    assert SECRET not in message


def test_a_prefix_that_kafka_would_not_take_is_one_sentence(
    environment: pytest.MonkeyPatch,
) -> None:
    set_all(environment, TOPIC_PREFIX="my game/")

    assert refusal().startswith("ROLLCALL_TOPIC_PREFIX: ")


def test_a_prefix_is_put_before_every_topic(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, TOPIC_PREFIX="town-2.")

    assert KafkaConnection.from_environment().topic("locations") == "town-2.locations"


def test_an_empty_variable_is_the_same_as_none(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, BROKER="", KAFKA_SASL_MECHANISM="", KAFKA_TLS_CA_FILE="")

    assert KafkaConnection.from_environment() == KafkaConnection()


def test_sasl_over_tls(environment: pytest.MonkeyPatch) -> None:
    set_all(
        environment,
        KAFKA_SECURITY_PROTOCOL="sasl_ssl",
        KAFKA_SASL_MECHANISM="scram-sha-512",
        KAFKA_SASL_USERNAME="rollcall",
        KAFKA_SASL_PASSWORD=SECRET,
    )

    options = KafkaConnection.from_environment().client_options()

    assert isinstance(options.pop("ssl_context"), ssl.SSLContext)
    assert options == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "rollcall",
        "sasl_plain_password": SECRET,
    }


def test_a_password_is_never_shown(environment: pytest.MonkeyPatch) -> None:
    set_all(
        environment,
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="rollcall",
        KAFKA_SASL_PASSWORD=SECRET,
    )

    connection = KafkaConnection.from_environment()

    assert SECRET not in f"{connection} {connection!r} {connection.model_dump()}"
    assert connection.client_options()["sasl_mechanism"] == "PLAIN"


def test_a_password_may_come_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    set_all(
        environment,
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="rollcall",
        KAFKA_SASL_PASSWORD_FILE=tmp_path / "password",
    )

    assert KafkaConnection.from_environment().client_options()["sasl_plain_password"] == SECRET


def test_a_password_file_that_cannot_be_read_is_one_sentence(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    set_all(environment, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", KAFKA_SASL_USERNAME="rollcall")
    for name, reason in (("missing", "No such file"), ("binary", "not UTF-8"), ("", "directory")):
        set_all(environment, KAFKA_SASL_PASSWORD_FILE=tmp_path / name)

        with pytest.raises(ConnectionSettingsError, match=f"SASL_PASSWORD_FILE .*{reason}"):
            KafkaConnection.from_environment().client_options()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"SECURITY_PROTOCOL": "TLS"}, "ROLLCALL_KAFKA_SECURITY_PROTOCOL: "),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM: "),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "ROLLCALL_KAFKA_SASL_USERNAME is needed"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "me"}, "SASL_PASSWORD .* is needed"),
        ({"SASL_USERNAME": "me"}, "PLAINTEXT, so the ROLLCALL_KAFKA_SASL_ settings would not"),
        ({"SASL_PASSWORD": SECRET}, "PLAINTEXT, so the ROLLCALL_KAFKA_SASL_ settings would not"),
        ({"TLS_CA_FILE": "/ca.pem"}, "PLAINTEXT, so the ROLLCALL_KAFKA_TLS_ settings would not"),
        (
            {"SECURITY_PROTOCOL": "SSL", "TLS_KEY_FILE": "/key.pem"},
            "TLS_KEY_FILE is given without ROLLCALL_KAFKA_TLS_CERT_FILE",
        ),
        (
            {
                "SECURITY_PROTOCOL": "SASL_SSL",
                "SASL_USERNAME": "me",
                "SASL_PASSWORD": SECRET,
                "SASL_PASSWORD_FILE": "/password",
            },
            "both given",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_one_sentence(
    environment: pytest.MonkeyPatch, values: dict[str, str], message: str
) -> None:
    set_all(environment, **{f"KAFKA_{name}": value for name, value in values.items()})

    with pytest.raises(ConnectionSettingsError, match=message) as caught:
        KafkaConnection.from_environment()

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tls_file_of_no_use_is_one_sentence(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    set_all(environment, KAFKA_SECURITY_PROTOCOL="SSL")
    for name in ("ca.pem", "missing.pem"):
        set_all(environment, KAFKA_TLS_CA_FILE=tmp_path / name)

        with pytest.raises(ConnectionSettingsError, match="ROLLCALL_KAFKA_TLS_"):
            KafkaConnection.from_environment().client_options()


def test_a_client_certificate_is_loaded_and_an_encrypted_key_refused_without_a_question(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, encrypted, certificate = (tmp_path / name for name in ("key", "encrypted", "certificate"))
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=test"]
    lock = ["openssl", "rsa", "-aes128", "-passout", f"pass:{SECRET}", "-in", str(key)]
    subprocess.run([*make, "-nodes", "-keyout", key, "-out", certificate], check=True)
    subprocess.run([*lock, "-out", encrypted], check=True)
    set_all(environment, KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_TLS_CA_FILE=certificate)
    set_all(environment, KAFKA_TLS_CERT_FILE=certificate, KAFKA_TLS_KEY_FILE=key)

    assert KafkaConnection.from_environment().ssl_context() is not None

    set_all(environment, KAFKA_TLS_KEY_FILE=encrypted)
    with pytest.raises(ConnectionSettingsError, match="ROLLCALL_KAFKA_TLS_"):
        KafkaConnection.from_environment().ssl_context()


def test_arguments_win_over_the_environment(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, BROKER="kafka://a:1", TOPIC_PREFIX="env.")

    connection = KafkaConnection.from_environment(broker="kafka://b:2")

    assert connection.bootstrap_servers == ["b:2"]
    assert connection.topic_prefix == "env."


def test_every_setting_says_what_it_is() -> None:
    undescribed = [
        name for name, field in KafkaConnection.model_fields.items() if not field.description
    ]

    assert undescribed == []


def test_an_error_of_the_constructor_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        KafkaConnection.model_validate({"sasl_password": SECRET})

    assert SECRET not in str(caught.value)
