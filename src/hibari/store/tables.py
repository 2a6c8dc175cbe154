"""Every table, as the code of today sees it; `migrations/` says how a database gets there.

Ids of generations are 48-bit numbers. Moments are kept in UTC. Columns that hold a person's data can be NULL, since
erasing empties them; what must outlive an erasure is NOT NULL.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """A time-zone aware moment; SQLite, which knows no zones, keeps it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        assert value is None or value.tzinfo is not None, "a moment names its zone"
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own row number is an INTEGER of 64 bits
DOCUMENT = JSON(none_as_null=True)
SHA256 = String(64)


def _id(name: str, *rest: Any, **options: Any) -> Column[Any]:
    return Column(name, ID, *rest, **options)


generations = Table(
    "generations",
    METADATA,
    _id("id", primary_key=True, autoincrement=False),
    Column("created_at", Moment, nullable=False),
    Column("user_name", Text),
    Column("request", DOCUMENT),
    Column("seed", BigInteger),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("weights_sha256", SHA256, nullable=False),
    Column("device", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("latents_sha256", SHA256, nullable=False),
    Column("frames_sha256", SHA256, nullable=False),
    Column("file_sha256", SHA256, nullable=False),
    Column("file_bytes", BigInteger, nullable=False),
    Column("mime", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("fps", Float, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("watermark_key", Text, nullable=False),
    _id("replay_of", ForeignKey("generations.id")),
    Column("state", Text, nullable=False),
    Column("erased_at", Moment),
    Index(None, "created_at", "id"),
    Index(None, "user_name", "created_at"),
    Index(None, "file_sha256"),
    Index(None, "replay_of"),
)
"""What was made, how, and what left the house."""

manifests = Table(
    "manifests",
    METADATA,
    _id("generation_id", ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("timestamped", Boolean, nullable=False),
)
"""The signed manifest of each file, so that a stripped copy leads back to it."""

sources = Table(
    "sources",
    METADATA,
    _id("generation_id", ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("sha256", SHA256, nullable=False),
    Column("relationship", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("title", Text, nullable=False),
    _id("own_id"),
    Column("consent", DOCUMENT),
)
"""The files that a generation started from. `own_id` names the generation that a source itself is."""

verdicts = Table(
    "verdicts",
    METADATA,
    _id("id", primary_key=True),
    _id("generation_id", nullable=False),
    Column("user_name", Text),
    Column("created_at", Moment, nullable=False),
    Column("stage", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("categories", DOCUMENT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Index(None, "generation_id"),
    Index(None, "user_name"),
)
"""What the safety policy said, also of requests that never became a generation: hence no foreign key."""

held_items = Table(
    "held_items",
    METADATA,
    _id("generation_id", primary_key=True, autoincrement=False),
    Column("created_at", Moment, nullable=False),
    Column("user_name", Text),
    Column("stage", Text, primary_key=True),
    Column("request", DOCUMENT),
    Column("categories", DOCUMENT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("file", Text),
    Column("state", Text, nullable=False),
    Column("reviewer", Text),
    Column("decided_at", Moment),
    Column("decision_reason", Text),
    Column("video_id", Text),
    Index(None, "state", "created_at"),
    Index(None, "user_name"),
    Index(None, "reviewer"),
    Index(None, "video_id"),
)
"""The review queue: requests before, and files after, their generation; one id can be in it for both.

`video_id` is the service's video that waits for it (no foreign key: the video may go first), and `file` is a blob then.
"""

fingerprints = Table(
    "fingerprints",
    METADATA,
    _id("id", primary_key=True, autoincrement=False),
    _id("generation_id", ForeignKey("generations.id"), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("bits", LargeBinary, nullable=False),
    Column("quality", Integer, nullable=False),
    Column("left_out", Text, nullable=False),
    Index(None, "generation_id"),
)
"""Perceptual hashes of delivered frames; `left_out` says why one takes no part in matching, and is empty for most."""

fingerprint_state = Table(
    "fingerprint_state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("next_id", BigInteger, nullable=False),
    Column("erasure", BigInteger, nullable=False),
)
"""One row. Whoever adds hashes takes it first, so that ids appear in order; `erasure` is drawn anew at each erasure."""

users = Table(
    "users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    Column("subject", Text, unique=True),
    Column("seconds_a_day", Float),
    Column("jobs_at_once", Integer),
    Column("priority", Integer, nullable=False),
)
"""Who may do what. `subject` is "issuer subject" of who signs in elsewhere; a limit that is NULL is the service's."""

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_name", ForeignKey("users.name"), nullable=False),
    Column("sha256", SHA256, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("scopes", DOCUMENT),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    Index(None, "user_name"),
)
"""Keys by their digest alone; `hint` is their end, so that a person knows which is which. `scopes` NULL: all."""

videos = Table(
    "videos",
    METADATA,
    _id("sequence", primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("user_name", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text),
    Column("size", Text, nullable=False),
    Column("seconds", Text, nullable=False),
    Column("request", DOCUMENT, nullable=False),
    Column("source_id", Text),
    Column("status", Text, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    Column("expires_at", Moment),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("priority", Integer, nullable=False),
    Column("cost", Float, nullable=False),
    Column("booked", Float, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease", Moment),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("not_before", Moment),
    _id("generation_id"),
    Column("files", DOCUMENT),
    Column("latents_until", Moment),
    Index(None, "status", "priority", "sequence"),
    Index(None, "user_name", "sequence"),
    Index(None, "expires_at"),
)
"""The videos of the service, and its queue: what is queued is claimed with a lease, which a heartbeat renews.

`attempt` counts claims and fences whoever lost one; `crashes` counts those whose model died. `cost` is the work that
a job was estimated at, in units of the cost model, `booked` the seconds of video that its user's day was charged with.
`files` names blobs: video, thumbnail, spritesheet, latents, input.
"""

idempotency = Table(
    "idempotency",
    METADATA,
    Column("user_name", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", SHA256, nullable=False),
    Column("video_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index(None, "created_at"),
    Index(None, "video_id"),
)
"""Which video a request with an Idempotency-Key made."""

usage = Table(
    "usage",
    METADATA,
    Column("user_name", Text, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("seconds", Float, nullable=False),
)
"""Seconds of video that a user's day (UTC, 2026-11-22) was charged with; apart, so that deleting gives nothing back."""

characters = Table(
    "characters",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("file", Text, nullable=False),
    Column("consent", DOCUMENT, nullable=False),
    Index(None, "user_name"),
)
"""Reference clips that prompts may name; `file` is a blob, `consent` what was stated about who is shown."""

webhook_endpoints = Table(
    "webhook_endpoints",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", DOCUMENT, nullable=False),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until", Moment),
    Column("created_at", Moment, nullable=False),
    Index(None, "user_name"),
)
"""Where a user wants to be told; both secrets sign while the old one still holds."""

webhook_events = Table(
    "webhook_events",
    METADATA,
    _id("sequence", primary_key=True),
    Column("id", Text, nullable=False),
    Column("endpoint_id", ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment),
    Column("delivered_at", Moment),
    Column("last_error", Text),
    Index(None, "next_at"),
    Index(None, "endpoint_id"),
)
"""The outbox: written with the change that it tells of, sent until it is delivered or given up (`next_at` NULL)."""

audit = Table(
    "audit",
    METADATA,
    _id("sequence", primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("previous", SHA256, nullable=False),
    Column("digest", SHA256, nullable=False),
)
"""Append-only: each row's digest covers the one before it, so that a row that was changed or taken out shows."""

workers = Table(
    "workers",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("device", Text, nullable=False),
    Column("models", DOCUMENT, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("device_bytes", BigInteger),
    Index(None, "seen_at"),
)
"""The workers that are there, as they say themselves: which models they hold, and their maker's memory.

`owner` is the name they claim under; `device_bytes` is what the accelerator holds, NULL on a CPU.
"""

refusals = Table(
    "refusals",
    METADATA,
    Column("day", String(10), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How often a reason (a policy category, or an error's code) ended a job on a day (UTC); no user and no prompt."""

house_secrets = Table(
    "house_secrets",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("sha256", SHA256, nullable=False),
    Column("noted_at", Moment, nullable=False),
)
"""Digests of what marks and signs in this house, by name, so that a machine with other secrets is noticed."""
