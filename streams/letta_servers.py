"""Which Letta server an NPC's agent is on. Pure.

the NPC's roster entry         its server
-----------------------------  ---------------------------------------------------------------
names none, or there is none   number `hash % n` of the n that are configured, by the hash that also
                               chooses its partition: whichever worker has it, and `partition % n`
                               where n divides the number of partitions
names a configured one         that one
names another                  none: a roster comes from a topic, and whoever writes there shall
                               not have a token sent to a server of their choice
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class UnknownServerError(ValueError):
    """The roster names a Letta server that is not configured."""


@dataclass(frozen=True, slots=True)
class LettaServer:
    """Where one Letta answers, and the bearer token it asks for, None: none."""

    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The URL without what one logs in with; for people, logs and the roster."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"


def letta_servers(urls: str, token: str | None) -> tuple[LettaServer, ...]:
    """The servers of the settings: URLs separated by commas, and a token for all or one for each.

    Raises ValueError, which quotes no token and no password.
    """
    named = [_checked(url.strip()) for url in urls.split(",")]
    if len(set(named)) < len(named):
        raise ValueError("names a Letta server twice")
    tokens = _tokens(token, len(named))
    return tuple(LettaServer(url, one) for url, one in zip(named, tokens, strict=True))


def number_of(hashed: int, named: str | None, servers: Sequence[LettaServer]) -> int:
    """The number of an NPC's server, from 0. `hashed`: of its key; `named`: by its roster entry.

    Raises UnknownServerError.
    """
    if not named:
        return hashed % len(servers)
    for number, server in enumerate(servers):
        if named.rstrip("/") in (server.url, server.name):
            return number
    raise UnknownServerError("the roster names a Letta server that ROLLCALL_LETTA_URL does not")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("is no URL of a Letta server, as http://letta:8283 is")
    return url.rstrip("/")


def _tokens(token: str | None, servers: int) -> list[str | None]:
    if token is None or servers == 1 or "," not in token:
        return [token] * servers
    tokens = [one.strip() or None for one in token.split(",")]
    if len(tokens) != servers:
        held = f"ROLLCALL_LETTA_TOKEN holds {len(tokens)} tokens"
        raise ValueError(f"{held} for the {servers} servers of ROLLCALL_LETTA_URL")
    return [*tokens]
