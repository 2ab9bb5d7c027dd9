"""Commands and stamps for the tests of the writer, with everything optional."""

from streams.writer.document import Document
from streams.writer.merge import Rendered
from streams.writer.stamp import KEY, UNKNOWN, Stamp, mark_of, read_stamp, stamped
from topics.models import Desired, Member, Reason, Source, UpdateCommand

NOON = 1_795_426_413.2
ALICE = Member(id="1001", name="Alice", appearance="tall, red scarf")
BOB = Member(id="1002", name="Bob", appearance="short, green hat")
GRETA = Member(id="npc-greta", name="Greta", appearance="the baker")


def desired(*members: Member, location: str = "Market Square", action: str = "idle") -> Desired:
    return Desired(members=members, location=location, action=action)


def command(
    *members: Member,
    npc_id: str = "npc-7",
    location: str = "Market Square",
    action: str = "idle",
    reason: Reason = Reason.MEMBERS,
    observed_at: float = NOON,
    partition: int = 3,
    offset: int = 10,
) -> UpdateCommand:
    return UpdateCommand(
        command_id=f"{npc_id}@{offset}",
        npc_id=npc_id,
        reason=reason,
        observed_at=observed_at,
        issued_at=observed_at + 0.1,
        source=Source(topic="npc-snapshots", partition=partition, offset=offset),
        desired=desired(*members, location=location, action=action),
    )


def stamp_after(
    rendered: Rendered, observed_at: float = NOON, offset: int = 10, command_offset: int = UNKNOWN
) -> Stamp:
    """The stamp as the next reader finds it: written to metadata and read back."""
    mark = mark_of(command(observed_at=observed_at, offset=offset), command_offset)
    metadata = stamped({}, rendered, mark)
    return read_stamp(as_read(metadata))


def as_read(metadata: Document) -> Document:
    assert set(metadata) >= {KEY}
    return metadata
