"""How a role's Faust app is set up: group, timeouts, raw topics. One app a role."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import faust
from faust.types.auth import CredentialsT

from streams.faust_layer import app as layer
from streams.faust_layer.channels import BatchTopic, raw_topic
from streams.settings import Settings
from topics.catalogue import DEAD_LETTER_LIMIT, PARTITIONS, topic_name
from topics.connection import KafkaConnection

SEND_TIMEOUT = 30.0
"""Seconds until an unacknowledged send fails and the worker leaves; Faust would wait 20 minutes."""

HEARTBEAT = 0.3
"""Seconds between two heartbeats. By its heartbeat a worker learns that somebody joins or leaves,
and all of them wait for the last one to learn it."""

METADATA_AGE = 10.0
"""Seconds until the topics are asked for again. A changelog that the broker made a moment too late
for the first assignment is given out then, with a rebalance; Faust would wait five minutes."""


class Role(StrEnum):
    """What a worker does; each is a consumer group of its own."""

    SPLITTER = "splitter"
    FILTER = "filter"
    WRITER = "writer"


def group_id(role: Role, prefix: str) -> str:
    """The consumer group, and Faust app id, of a role."""
    return f"{prefix}rollcall-{role}"


def changelog(role: Role, table: str) -> str:
    """The topic, without the prefix, in which Faust keeps a Table of a role."""
    return f"{group_id(role, '')}-{table}-changelog"


def data_folder(role: Role, settings: Settings, prefix: str) -> Path:
    """Where the workers of a role keep what they have on disk."""
    return settings.data_dir.expanduser() / group_id(role, prefix)


def members_folder(role: Role, settings: Settings, prefix: str) -> Path:
    """Where each of them notes that it belongs to the group."""
    return data_folder(role, settings, prefix) / "members"


def new_app(
    role: Role, settings: Settings, connection: KafkaConnection, *, wait_empty: bool
) -> layer.BatchApp:
    """The Faust app of a role. `wait_empty`: a rebalance waits for records in flight."""
    data_dir = data_folder(role, settings, connection.topic_prefix)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    app = layer.BatchApp(
        group_id(role, connection.topic_prefix),
        broker=[f"kafka://{server}" for server in connection.bootstrap_servers],
        broker_credentials=credentials(connection),
        datadir=data_dir,
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=HEARTBEAT,
        broker_commit_interval=settings.commit_interval,
        consumer_metadata_max_age_ms=int(METADATA_AGE * 1000),
        stream_wait_empty=wait_empty,
        producer_acks=-1,
        producer_linger=0.0,  # a flush sends all it has at once: there is nothing to wait for
        producer_request_timeout=SEND_TIMEOUT,
        producer_max_request_size=DEAD_LETTER_LIMIT,
        table_cleanup_interval=3600,
        table_standby_replicas=0,
        web_enabled=False,
        **layer.SETTINGS,
    )
    layer.install(app, is_patient=role is Role.FILTER)
    return app


def credentials(connection: KafkaConnection) -> CredentialsT | None:
    """TLS and SASL as Faust takes them; None without. ConnectionSettingsError."""
    if connection.uses_sasl:
        return faust.SASLCredentials(
            username=connection.sasl_username,
            password=connection.password(),
            mechanism=connection.sasl_mechanism,
            ssl_context=connection.ssl_context(),
        )
    return faust.SSLCredentials(connection.ssl_context()) if connection.uses_tls else None


class RawTopics:
    """The topics of the contract as Faust topics of raw bytes, with the prefix of the user."""

    def __init__(self, app: faust.App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self._topics: dict[str, BatchTopic] = {}

    def __getitem__(self, name: str) -> BatchTopic:
        if name not in self._topics:
            self._topics[name] = raw_topic(self._app, topic_name(self._prefix, name))
        return self._topics[name]

    def names(self, names: Iterable[str]) -> list[str]:
        """The topics as Kafka knows them."""
        return [topic_name(self._prefix, name) for name in names]
