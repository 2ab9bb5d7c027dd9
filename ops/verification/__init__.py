"""`rollcall verify`: NPCs' memories compared with what the filter knows, on request."""
