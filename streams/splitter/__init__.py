"""The splitter: one world snapshot in, one NPC snapshot out for each NPC it tells of."""
