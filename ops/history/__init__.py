"""`rollcall block`: what an NPC's memory was, how it changed, and what stands there now."""
