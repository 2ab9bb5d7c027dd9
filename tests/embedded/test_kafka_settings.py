import base64

import pytest

from ops.embedded.errors import ServerError
from ops.embedded.kafka import _cluster_id, _escaped, broker_properties


def test_the_broker_listens_on_loopback_only() -> None:
    properties = broker_properties(9092, 9093, {})

    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"


def test_topics_are_never_made_by_accident() -> None:
    assert broker_properties(9092, 9093, {})["auto.create.topics.enable"] == "false"


def test_a_further_listener_is_added_and_other_properties_replace_ours() -> None:
    extra = {
        "listeners": "TLS://127.0.0.1:9094",
        "listener.security.protocol.map": "TLS:SSL",
        "offsets.topic.num.partitions": "1",
        "ssl.keystore.type": "PEM",
    }

    properties = broker_properties(9092, 9093, extra)

    assert properties["listeners"].endswith(",TLS://127.0.0.1:9094")
    assert properties["advertised.listeners"].endswith(",TLS://127.0.0.1:9094")
    assert properties["listener.security.protocol.map"].endswith(",TLS:SSL")
    assert properties["offsets.topic.num.partitions"] == "1"
    assert properties["ssl.keystore.type"] == "PEM"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.0.2.1", "[::]"])
def test_a_listener_outside_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ServerError, match=r"is not on 127\.0\.0\.1"):
        broker_properties(9092, 9093, {"listeners": f"TLS://{host}:9094"})


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("a\nb=c", "a\\nb=c"), ("C:\\keys", "C:\\\\keys"), ("Grüße", "Gr\\xfc\\xdfe")],
)
def test_a_value_cannot_break_out_of_its_line(value: str, escaped: str) -> None:
    assert _escaped(value) == escaped


def test_a_cluster_id_is_a_uuid_in_base64_that_is_no_option() -> None:
    for _ in range(200):
        name = _cluster_id()

        assert len(base64.urlsafe_b64decode(f"{name}==")) == 16
        assert not name.startswith("-")
