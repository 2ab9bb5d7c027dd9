"""`rollcall replay`: a stretch of a topic once more, to look at or to publish.

stored        one record as it stands on a topic, and the order of a stretch (pure)
exported      stretches as files: NDJSON (pure)
batch         records by their fields, and which of them tell the same again (pure)
reading       stretches from Kafka, in that order
beside        the same in a process of its own, while this one decides
dry_run       what today's rules decide on a stretch (pure)
settings      the settings that decisions depend on, and others in their place (pure)
comparison    two dry runs of one stretch, side by side (pure)
republish     a stretch sent into a topic, at a speed
regression    a stretch and what is decided on it, kept as a test
view          all of it for people, and as JSON
command       the command

A dry run joins no group, writes nothing and asks no Letta. The same stretch gives the same output,
byte for byte.
"""
