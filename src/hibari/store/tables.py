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
    Index(None, "state", "created_at"),
    Index(None, "user_name"),
    Index(None, "reviewer"),
)
"""The review queue: requests before, and files after, their generation; one id can be in it for both."""

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
