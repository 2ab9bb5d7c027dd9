"""`rollcall notes`: what is kept of an NPC's notes beside its blocks."""
