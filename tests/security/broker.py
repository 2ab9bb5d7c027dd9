"""A broker with a listener for TLS and SASL, the certificate it shows, and who may come in."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import KafkaServer, ensure_kafka, free_port
from ops.embedded import kafka as embedded
from ops.embedded.folders import make_folder
from ops.embedded.install import ensure_installed
from ops.embedded.kafka_jars import jar_folder, kafka_installation
from ops.embedded.process import bare_environment
from tests.servers import progress

USER = "rollcall"
SECRET = "s3cret-Xq7-never-to-be-seen"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = {"SSL": "SSL", "MUTUAL": "SSL"} | {
    name: name for name in ("SASL_PLAINTEXT", "SASL_SSL")
}
"""Listeners beside the open one; MUTUAL asks for the client's certificate."""

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True)
class Certificate:
    """PEM files; the certificate signs itself, so it is its own authority."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class SecureBroker:
    """The ports of one broker by listener, and the certificate it shows."""

    server: KafkaServer
    ports: Mapping[str, int]
    certificate: Certificate
    """Signed by itself: the authority to trust, for clients and for the broker."""

    def environment(self, protocol: str, mechanism: str | None = None) -> dict[str, str]:
        """The settings of a client that is let in."""
        settings = {
            "ROLLCALL_BROKER": f"kafka://127.0.0.1:{self.ports[protocol]}",
            "ROLLCALL_KAFKA_SECURITY_PROTOCOL": protocol,
        }
        if protocol.endswith("SSL"):
            settings["ROLLCALL_KAFKA_TLS_CA_FILE"] = str(self.certificate.certificate)
        if mechanism:
            settings["ROLLCALL_KAFKA_SASL_MECHANISM"] = mechanism
            settings["ROLLCALL_KAFKA_SASL_USERNAME"] = USER
            settings["ROLLCALL_KAFKA_SASL_PASSWORD"] = SECRET
        return settings


def new_certificate(folder: Path, name: str) -> Certificate:
    """A certificate for 127.0.0.1, valid for a day."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", made.key, "-out", made.certificate),
        ],
        check=True,
        capture_output=True,
    )
    return made


def secure_broker(folder: Path, certificate: Certificate) -> SecureBroker:
    """Start it, with a user known by every mechanism."""
    ports = {name: free_port() for name in PROTOCOLS}
    port = free_port()
    properties = _properties(ports, _keystore(folder, certificate), certificate.certificate)
    _format_with_user(folder, embedded.broker_properties(port, free_port(), properties))
    server = ensure_kafka(folder, port, progress(), properties)
    return SecureBroker(server, ports | {"PLAINTEXT": port}, certificate)


def _keystore(folder: Path, certificate: Certificate) -> Path:
    """Key and certificate in one file, as Kafka reads them."""
    keystore = folder / "keystore.pem"
    keystore.write_text(certificate.key.read_text() + certificate.certificate.read_text())
    return keystore


def _properties(ports: Mapping[str, int], keystore: Path, authority: Path) -> dict[str, str]:
    properties = {
        "listeners": ",".join(f"T_{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join(
            f"T_{name}:{protocol}" for name, protocol in PROTOCOLS.items()
        ),
        "listener.name.t_mutual.ssl.client.auth": "required",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
    }
    for name in ("t_sasl_plaintext", "t_sasl_ssl"):
        listener = f"listener.name.{name}"
        properties[f"{listener}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        for mechanism in MECHANISMS[1:]:
            properties[f"{listener}.{mechanism.lower()}.sasl.jaas.config"] = f"{_SCRAM} required;"
        plain = f'{_PLAIN} required user_{USER}="{SECRET}";'
        properties[f"{listener}.plain.sasl.jaas.config"] = plain
    return properties


def _format_with_user(data_dir: Path, properties: Mapping[str, str]) -> None:
    """What the first start does, plus a SCRAM user, whom only formatting can make beforehand."""
    jars = jar_folder(ensure_installed(kafka_installation(), progress()))
    folder = make_folder(data_dir / "kafka")
    embedded._write_settings(folder, properties)
    users = [f"{scram}=[name={USER},password={SECRET}]" for scram in MECHANISMS[1:]]
    arguments = ["format", "-t", embedded._cluster_id(), "-c", "server.properties"]
    for user in users:
        arguments += ["--add-scram", user]
    subprocess.run(
        embedded._java(jars, "kafka.tools.StorageTool", *arguments),
        cwd=folder,
        env=bare_environment(),
        check=True,
        capture_output=True,
    )
