import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from topics.catalogue import BY_NAME, CATALOGUE
from topics.dead_letter import headers_for
from topics.schema import (
    ASYNCAPI,
    FOLDER,
    asyncapi,
    dead_letter_headers,
    files,
    value_schema,
    write,
)

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE / "examples").glob("*.json"))
VALUE_TOPICS = [topic.name for topic in CATALOGUE if topic.model is not None]


def validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(value_schema(topic))


def test_the_committed_files_are_what_is_generated() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}

    assert committed == files(), "run: python -m topics.schema"


def test_generating_writes_every_file(tmp_path: Path) -> None:
    written = write(tmp_path / "schemas")

    assert {path.name: path.read_text(encoding="utf-8") for path in written} == files()


def test_every_topic_has_a_schema() -> None:
    names = {f"{topic}.json" for topic in VALUE_TOPICS}

    assert set(files()) == names | {"dead-letters.headers.json", ASYNCAPI}


@pytest.mark.parametrize("topic", VALUE_TOPICS)
def test_a_schema_is_one(topic: str) -> None:
    Draft202012Validator.check_schema(value_schema(topic))


@pytest.mark.parametrize("topic", VALUE_TOPICS)
def test_a_schema_names_nothing_of_ours(topic: str) -> None:
    text = json.dumps(value_schema(topic))

    assert "Wire" not in text
    assert "topics." not in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits_its_schema(path: Path) -> None:
    validator(path.name.split(".")[0]).validate(json.loads(path.read_bytes()))


def test_every_topic_has_an_example() -> None:
    assert {path.name.split(".")[0] for path in EXAMPLES} == set(VALUE_TOPICS)


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        ("npc-snapshots", {}),
        ("npc-snapshots", {"npc_id": ""}),
        ("npc-snapshots", {"npc_id": 1.5}),
        ("npc-snapshots", {"npc_id": True}),
        ("npc-snapshots", {"npc_id": "npc-7", "observed_at": 1795426413200}),
        ("npc-snapshots", {"npc_id": "npc-7", "cluster": "Alice"}),
        ("npc-snapshots", {"npc_id": "npc-7", "nearby_players": [{}]}),
        ("npc-snapshots", {"npc_id": "npc-7", "nearby_players": [[1]]}),
        ("npc-snapshots", {"npc_id": "npc-7", "position": [1, 2]}),
        ("npc-snapshots", {"npc_id": "npc-7", "position": [1, 2, 1e10]}),
        ("npc-snapshots", []),
        ("world-snapshots", {}),
        ("world-snapshots", {"clusters": {}, "timestamp": 1}),
        ("world-snapshots", {"clusters": [{}], "locations": {}}),
        ("world-snapshots", {"clusters": {}, "humanContext": {}, "locations": {}}),
        ("world-snapshots", {"clusters": "x"}),
        ("player-profiles", {"player_id": "1"}),
        ("npc-roster", {"npc_id": "1", "name": "G", "enabled": "yes"}),
        ("locations", {"slug": 3, "name": "Inn", "coordinates": [0, 0, 0]}),
        ("locations", {"slug": "inn", "name": "Inn"}),
        ("npc-update-commands", {"command_id": "c", "npc_id": "n"}),
        ("npc-update-results", {"command_id": "c", "npc_id": "n", "outcome": "great"}),
        ("npc-verify-requests", {"requested_at": 1}),
        ("npc-verify-requests", {"npc_id": "npc-7", "requested_at": 1795426413200}),
    ],
)
def test_a_record_that_the_decoder_refuses_does_not_fit(topic: str, record: object) -> None:
    assert not validator(topic).is_valid(record)


def test_a_command_says_that_it_holds_the_whole_state() -> None:
    desired = value_schema("npc-update-commands")["$defs"]["Desired"]

    assert set(desired["required"]) == {"members", "location", "action"}


@pytest.mark.parametrize(
    "topic",
    ["npc-snapshots", "player-profiles", "npc-roster", "locations", "npc-verify-requests"],
)
def test_every_field_that_a_game_writes_is_described(topic: str) -> None:
    schema = value_schema(topic)
    fields = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]

    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_the_headers_of_a_dead_letter_fit_their_schema() -> None:
    headers = {name: value.decode() for name, value in headers_for("filter", "e", "t", 0, 1, 2.5)}

    Draft202012Validator(dead_letter_headers()).validate(headers)


# ---------------------------------------------------------------- AsyncAPI


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_document_is_asyncapi_3() -> None:
    official = json.loads((HERE / "asyncapi-3.0.0.schema.json").read_text())
    document = yaml.safe_load((FOLDER / ASYNCAPI).read_text())

    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(official).iter_errors(document)
    ]
    assert errors == []


def test_the_official_schema_notices_a_mistake() -> None:
    official = json.loads((HERE / "asyncapi-3.0.0.schema.json").read_text())
    document = asyncapi()
    document["operations"]["filter.receives.npc-snapshots"]["action"] = "reads"

    assert not Draft7Validator(official).is_valid(document)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = yaml.safe_load((FOLDER / ASYNCAPI).read_text())
    found = set(references(document))

    assert found
    for reference in found:
        if reference.startswith("./"):
            assert (FOLDER / reference).is_file()
        else:
            part = document
            for step in reference.removeprefix("#/").split("/"):
                part = part[step]


def test_channels_and_operations_are_those_of_the_catalogue() -> None:
    document = asyncapi()

    assert list(document["channels"]) == [topic.name for topic in CATALOGUE]
    assert {
        name: channel["bindings"]["kafka"]["partitions"]
        for name, channel in document["channels"].items()
    } == {name: topic.partitions for name, topic in BY_NAME.items()}
    assert set(document["operations"]) == {
        "splitter.receives.world-snapshots",
        "splitter.receives.npc-roster",
        "splitter.sends.npc-snapshots",
        "splitter.sends.dead-letters",
        "filter.receives.npc-snapshots",
        "filter.receives.npc-verify-requests",
        "filter.receives.player-profiles",
        "filter.receives.npc-roster",
        "filter.receives.locations",
        "filter.sends.npc-update-commands",
        "filter.sends.dead-letters",
        "writer.receives.npc-update-commands",
        "writer.receives.npc-roster",
        "writer.sends.npc-update-results",
        "writer.sends.dead-letters",
    }
