"""Every knob of the workers, read from `ROLLCALL_*` environment variables.

The docstring under a field is its documentation: unit, reason, what None means. `rollcall config`
prints them. Where Kafka is and how to log in stands in `topics.connection`.
"""

from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.letta_servers import LettaServer, letta_servers


class Mode(StrEnum):
    """How much the filter holds back; see `streams.filter.decide`."""

    DIRECT = "direct"
    FILTERED = "filtered"
    CACHED = "cached"


class Staleness(StrEnum):
    """What "stale" means; see `streams.filter.decide`."""

    GAP = "gap"
    SEED = "seed"


class ConflictPolicy(StrEnum):
    """Whose value stays where an NPC changed a field of the game's; see `streams.writer.merge`."""

    GAME = "game"
    NPC = "npc"


class Layout(StrEnum):
    """Where the NPC's own notes live; see docs/memory.md."""

    SHARED = "shared"
    SPLIT = "split"


class Settings(BaseSettings):
    """Settings of a worker. A wrong value is refused at start-up, by name."""

    model_config = SettingsConfigDict(
        env_prefix="ROLLCALL_",
        use_attribute_docstrings=True,
        extra="ignore",
        frozen=True,
    )

    mode: Mode = Mode.CACHED
    """`direct` sends every snapshot on, `filtered` what differs from the last group in memory,
    `cached` only what differs from the durable group state, is stale or due for a refresh."""

    stale_data_threshold: float = Field(default=30.0, gt=0)
    """Seconds of silence about an NPC after which our picture of it counts as stale; longer for an
    NPC that is usually reported on less than three times in that time."""

    force_refresh_interval: float = Field(default=300.0, gt=0)
    """Seconds after which an NPC's whole state is pushed again, changed or not. Of more than ten
    that are due at once some wait, for half as long again at most."""

    staleness: Staleness = Staleness.GAP
    """`gap`: stale is a gap between two snapshots. `seed`: stale is the age of the last push, so
    that an idle NPC is written again every `stale_data_threshold` seconds."""

    settle_seconds: float = Field(default=0.0, ge=0)
    """Seconds a member must have come or gone before it counts; damps players who step in and out.
    0: at once."""

    silent_after: float = Field(default=120.0, gt=0)
    """Seconds of the game's time after which an NPC that nobody reports on is marked silent, while
    others are reported on. A mark is for people: it holds nothing back."""

    verify_interval: float = Field(default=60.0, gt=0)
    """Seconds between two samples of NPCs whose memory in Letta is compared with what was pushed
    last. An NPC that was pushed within this time is none of the sample."""

    verify_sample: int = Field(default=5, ge=0)
    """NPCs of a sample, by each filter worker; one read of Letta each where nothing differs.
    0: none. Needs the mode `cached`."""

    player_cache_ttl: float = Field(default=3600.0, gt=0)
    """Seconds after which a player whom nobody saw leaves the player cache."""

    max_group_members: int = Field(default=50, ge=1, le=180)
    """Members kept of one group, nearby players first; the rest of a larger crowd is left out.
    About 80 bare entries fit the 5,000 characters of a memory block, and 180 of the longest one
    Kafka record of 1 MiB."""

    letta_url: str = "http://127.0.0.1:8283"
    """Where Letta answers. Several servers, separated by commas, share the NPCs by hash; a
    roster entry's `letta` may name the one of its NPC (docs/operations.md)."""

    letta_token_file: Path | None = None
    """A file that holds the token, as Docker and Kubernetes mount secrets; white space at its end
    is ignored. None: the token is given directly, or not needed."""

    letta_token: SecretStr | None = Field(default=None, validate_default=True)
    """Bearer token for Letta, here or in a file. None: Letta asks for none. Never logged. For
    several servers one for all, or as many as there are, separated by commas."""

    letta_timeout: float = Field(default=10.0, gt=0)
    """Seconds one call to Letta may take before it counts as failed and is tried again."""

    letta_breaker_failures: int = Field(default=5, ge=1)
    """NPCs whose writes fail in a row, for reasons that may pass, before nobody asks Letta any more
    but a probe now and then. One NPC that fails again and again does not count."""

    letta_probe_interval: float = Field(default=5.0, gt=0)
    """Seconds between two probes at most while Letta is away: how late its return is noticed.
    The first come sooner, beginning with half a second."""

    letta_concurrency: int | None = Field(default=None, ge=1)
    """NPCs written at the same time. None: as many as one Letta server does most with, found from
    how fast it answers; in mode `direct` 4."""

    letta_rate_limit: float | None = Field(default=None, gt=0)
    """Requests a second to one Letta server that are never exceeded, for a hosted one that asks for
    it. A read waits for its turn and so does the write that follows. None: no limit."""

    verify_delay: float = Field(default=5.0, ge=0)
    """Seconds after a write in which an agent's run may have reverted it; then it is looked at
    again, if there was a run. 0: no write is looked after."""

    run_patience: float = Field(default=10.0, ge=0)
    """Seconds a command waits for its agent's run to end: what is written during a run the agent's
    memory tools may revert, and the agent sees none of it before its next run. 0: none waits."""

    conflict_policy: ConflictPolicy = ConflictPolicy.GAME
    """Whose value stays where an NPC changed a field of the game's. `game`: the game's. `npc`: the
    NPC's, until the game's own value changes. Either way the result reports the conflict."""

    layout: Layout = Layout.SHARED
    """`shared`: the game's facts and the NPC's notes stand in the same blocks. `split`: the notes
    have a block of their own, `group_notes`, that is never written once it has been made. Mode
    `direct` knows `shared` alone."""

    parked_retry_interval: float = Field(default=10.0, gt=0)
    """Seconds between two looks for the Letta agent of an NPC that has none yet."""

    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of the worker's Prometheus metrics on loopback, 0 for any free one. None: no metrics."""

    metrics_host: str = "127.0.0.1"
    """Address the metrics listen on. Change it where Prometheus is on another machine."""

    data_dir: Path = Path("~/.local/share/rollcall")
    """Folder for what a worker keeps on disk between two starts; made when missing."""

    commit_interval: float = Field(default=1.0, gt=0)
    """Seconds between two commits of finished offsets: what a crash repeats at most."""

    session_timeout: float = Field(default=10.0, ge=6)
    """Seconds without a heartbeat after which Kafka gives a worker's partitions to others."""

    stall_timeout: float = Field(default=60.0, ge=5)
    """Seconds a worker may have work and finish none of it; then it counts as stalled, `/livez`
    says so and its process ends. Waiting for a Letta that is away does not count."""

    drain_timeout: float = Field(default=20.0, ge=0)
    """Seconds a stopping writer may take to finish the writes it has begun."""

    max_clock_ahead: float = Field(default=300.0, ge=0)
    """Seconds an `observed_at` may lie ahead of its record's timestamp. Beyond: dead letter, since
    a snapshot from the future would block every real one after it."""

    log_format: str = Field(default="console", pattern="^(console|json)$")
    """`console` for people, `json` for machines."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Least severity that is logged."""

    @cached_property
    def letta_servers(self) -> tuple[LettaServer, ...]:
        """Every Letta server there is, with its token."""
        return letta_servers(self.letta_url, _revealed(self.letta_token))

    @field_validator("letta_url")
    @classmethod
    def _are_urls(cls, urls: str) -> str:
        letta_servers(urls, None)
        return urls

    @field_validator("letta_token_file", mode="before")
    @classmethod
    def _is_a_file_if_any(cls, value: object) -> object:
        return value or None

    @field_validator("letta_token_file")
    @classmethod
    def _can_be_read(cls, file: Path | None) -> Path | None:
        if file is not None:
            _secret(file)
        return file

    @field_validator("letta_token")
    @classmethod
    def _from_its_file(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        file = info.data.get("letta_token_file")
        if file is None:
            return token
        if token:
            raise ValueError("given beside ROLLCALL_LETTA_TOKEN_FILE, only one may be")
        return _secret(file)

    @model_validator(mode="after")
    def _tokens_suit(self) -> Self:
        letta_servers(self.letta_url, _revealed(self.letta_token))
        return self


def _revealed(token: SecretStr | None) -> str | None:
    return token.get_secret_value() if token else None


def _secret(file: Path) -> SecretStr:
    """ValueError names the file and never shows what it holds."""
    try:
        return SecretStr(file.read_text().rstrip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ValueError(f"{file}: {reason}") from None
