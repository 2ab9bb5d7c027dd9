"""`rollcall dead-letters`: what could not be handled, and another try (docs/decisions/0011)."""
