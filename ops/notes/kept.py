"""What the writer's Table `notes` holds, read from its changelog as text to look for a note in."""

from collections import defaultdict

from ops.tables import missing_topics, read_changelog
from streams.topology import Role, group_id
from streams.writer.notes_table import NAME
from topics.connection import KafkaConnection


async def kept_notes(connection: KafkaConnection) -> dict[str, str]:
    """By npc_id; empty for whom the Table holds nothing."""
    kept: dict[str, str] = defaultdict(str)
    name = f"{group_id(Role.WRITER, '')}-{NAME}-changelog"
    if not await missing_topics(connection, [name]):
        for (_, key), value in (await read_changelog(connection, name)).items():
            kept[key.decode().split("/", 2)[2]] += value.decode()
    return kept
