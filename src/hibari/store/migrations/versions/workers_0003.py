"""The workers that are there; refusals, counted; digests of the house's secrets; what a job was booked as; indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

DOCUMENT = sa.JSON(none_as_null=True)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("models", DOCUMENT, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("device_bytes", sa.BigInteger),
        sa.PrimaryKeyConstraint("owner", name="pk_workers"),
    )
    op.create_index("ix_workers_seen_at", "workers", ["seen_at"])
    op.create_table(
        "refusals",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("day", "reason", name="pk_refusals"),
    )
    op.create_table(
        "house_secrets",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_house_secrets"),
    )
    op.add_column("videos", sa.Column("booked", sa.Float, nullable=False, server_default="0"))
    op.add_column("held_items", sa.Column("video_id", sa.Text))
    op.create_index("ix_held_items_video_id", "held_items", ["video_id"])
    op.create_index("ix_idempotency_video_id", "idempotency", ["video_id"])
