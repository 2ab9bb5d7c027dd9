"""Schemas for those who write or read the topics in another language.

`python -m topics.schema` writes into `topics/schemas/`: a JSON Schema (draft 2020-12) per topic,
and `asyncapi.yaml`, an AsyncAPI 3.0 document with channels, keys, messages and operations. All of
it is made from `topics.catalogue`, from the wire shapes of `topics.wire` for what games write, and
from `topics.models` for what rollcall writes itself; a test says that the committed files are so.

A schema describes everything the decoder takes. The decoder is stricter where a schema has no
words: ids without control characters, times that can be read, a key that agrees with the value.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from topics import catalogue, dead_letter
from topics.catalogue import CATALOGUE, Cleanup, Topic
from topics.models import UpdateResult
from topics.text import ID_LIMIT
from topics.wire import (
    ROBLOX_FIELDS,
    SEED_FIELDS,
    WireCommand,
    WireLocation,
    WireProfile,
    WireRobloxWorld,
    WireRosterEntry,
    WireSeedWorld,
    WireSnapshot,
    WireVerifyRequest,
)

FOLDER: Final = Path(__file__).parent / "schemas"
ASYNCAPI: Final = "asyncapi.yaml"

CONTRACT_VERSION: Final = "1.0.0"
"""Version of the contract, not of the program: the first part rises when a reader would break."""

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NO_DEFAULT = ("default", None)
_KAFKA_BINDING = "0.5.0"
_SHAPES: Final[Mapping[str, tuple[type[msgspec.Struct], ...]]] = {
    catalogue.NPC_SNAPSHOTS: (WireSnapshot,),
    catalogue.WORLD_SNAPSHOTS: (WireSeedWorld, WireRobloxWorld),
    catalogue.PLAYER_PROFILES: (WireProfile,),
    catalogue.NPC_ROSTER: (WireRosterEntry,),
    catalogue.LOCATIONS: (WireLocation,),
    catalogue.NPC_UPDATE_COMMANDS: (WireCommand,),
    catalogue.NPC_UPDATE_RESULTS: (UpdateResult,),
    catalogue.NPC_VERIFY_REQUESTS: (WireVerifyRequest,),
}
# Neither shape of a world snapshot may have the other's fields.
_FOREIGN_FIELDS: Final = {WireSeedWorld: ROBLOX_FIELDS, WireRobloxWorld: SEED_FIELDS}
_STAGES: Final = ("splitter", "filter", "writer")


def files() -> dict[str, str]:
    """Every generated file: name in the folder -> text."""
    texts = {f"{name}.json": _json_text(value_schema(name)) for name in _SHAPES}
    texts["dead-letters.headers.json"] = _json_text(dead_letter_headers())
    texts[ASYNCAPI] = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=100)
    return texts


def value_schema(name: str) -> Schema:
    """JSON Schema of a topic's record value."""
    shapes = _SHAPES[name]
    references, definitions = msgspec.json.schema_components(shapes, schema_hook=_anything)
    definitions = {_plain_name(title): _plain(part) for title, part in definitions.items()}
    for shape in shapes:
        definitions[_plain_name(shape.__name__)].update(_exclusion(shape))
    if "Player" in definitions:
        definitions["Player"]["anyOf"] = [{"required": ["id"]}, {"required": ["name"]}]
    alternatives = [_plain(reference) for reference in references]
    return {
        "$schema": _DIALECT,
        "title": name,
        "description": catalogue.BY_NAME[name].purpose,
        **(alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}),
        "$defs": definitions,
    }


def dead_letter_headers() -> Schema:
    """JSON Schema of a dead letter's headers, as text; its value is the bytes of any record."""
    described = {
        dead_letter.STAGE: "The stage that could not handle the record.",
        dead_letter.ERROR: "Why, in one sentence.",
        dead_letter.TOPIC: "The topic it came from.",
        dead_letter.PARTITION: "The partition it came from, a decimal number.",
        dead_letter.OFFSET: "Its offset there, a decimal number.",
        dead_letter.FAILED_AT: "When, in seconds since the epoch.",
    }
    return {
        "$schema": _DIALECT,
        "title": f"{catalogue.DEAD_LETTERS} headers",
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text} for name, text in described.items()
        },
        "required": list(described),
    }


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 document of all topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rollcall",
            "version": CONTRACT_VERSION,
            "description": "From what a game sees around its NPCs to what the NPCs remember. "
            "Topic names may have a prefix (ROLLCALL_TOPIC_PREFIX). Operations are rollcall's own: "
            "what it receives, a game sends.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in CATALOGUE},
        "operations": dict(_operations()),
        "components": {"messages": {topic.name: _message(topic) for topic in CATALOGUE}},
    }


# ---------------------------------------------------------------- AsyncAPI


def _channel(topic: Topic) -> Schema:
    return {
        "address": topic.name,
        "description": f"{topic.purpose} Written by: {', '.join(topic.written_by)}. "
        f"Read by: {', '.join(topic.read_by)}.",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {"kafka": _channel_binding(topic)},
    }


def _channel_binding(topic: Topic) -> Schema:
    configs = topic.configs
    configuration: Schema = {
        "cleanup.policy": configs["cleanup.policy"].split(","),
        "retention.ms": int(configs["retention.ms"]),
        "retention.bytes": int(configs["retention.bytes"]),
    }
    if "max.message.bytes" in configs:
        configuration["max.message.bytes"] = int(configs["max.message.bytes"])
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "topicConfiguration": configuration,
        "bindingVersion": _KAFKA_BINDING,
    }


def _message(topic: Topic) -> Schema:
    message: Schema = {"name": topic.name, "summary": topic.purpose}
    if topic.name == catalogue.DEAD_LETTERS:
        message["contentType"] = "application/octet-stream"
        message["headers"] = {"$ref": "./dead-letters.headers.json"}
        message["description"] = "Key and value are the record's own bytes, whatever they are."
    else:
        message["payload"] = {"$ref": f"./{topic.name}.json"}
    if topic.cleanup is Cleanup.COMPACT:
        message["description"] = "A null value (a tombstone) deletes what the key names."
    message["bindings"] = {"kafka": {"key": _key(topic), "bindingVersion": _KAFKA_BINDING}}
    return message


def _key(topic: Topic) -> Schema:
    description = f"UTF-8 text: {topic.key}."
    return {"type": "string", "maxLength": ID_LIMIT, "description": description}


def _operations() -> Iterator[tuple[str, Schema]]:
    for topic in CATALOGUE:
        for stage in _STAGES:
            if stage in topic.read_by:
                yield f"{stage}.receives.{topic.name}", _operation(topic, "receive", stage)
            if stage in topic.written_by or "every stage" in topic.written_by:
                yield f"{stage}.sends.{topic.name}", _operation(topic, "send", stage)


def _operation(topic: Topic, action: str, stage: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"The {stage} {action}s: {topic.purpose}",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.name}"}],
    }


# ---------------------------------------------------------------- JSON Schema


def _anything(kind: type) -> Schema:
    # Only the values of a conflict: whatever stood in the memory block.
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def _exclusion(shape: type[msgspec.Struct]) -> Schema:
    foreign = _FOREIGN_FIELDS.get(shape)
    return {"not": {"anyOf": [{"required": [name]} for name in foreign]}} if foreign else {}


def _plain(part: Any) -> Any:
    """A part of a schema in fewer words, and without our type names' prefix."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    plain = {key: _plain(value) for key, value in part.items() if (key, value) != _NO_DEFAULT}
    for key in ("$ref", "title"):
        if isinstance(plain.get(key), str):
            head, slash, name = plain[key].rpartition("/")
            plain[key] = head + slash + _plain_name(name)
    return _one_level(plain) if "anyOf" in plain else plain


def _one_level(schema: Schema) -> Schema:
    """The alternatives of a schema without alternatives inside them, each once."""
    flat: list[Schema] = []
    for part in schema["anyOf"]:
        flat += [found for found in _alternatives(part) if found not in flat]
    return {**schema, "anyOf": flat}


def _alternatives(part: Schema) -> list[Schema]:
    return part["anyOf"] if set(part) == {"anyOf"} else [part]


def _plain_name(name: str) -> str:
    return name.removeprefix("Wire")


def _json_text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes every generated file, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write():
        sys.stdout.write(f"{path}\n")
