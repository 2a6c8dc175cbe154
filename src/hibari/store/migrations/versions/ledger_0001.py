"""The ledger: generations, manifests, sources, verdicts, held items and fingerprints."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _generations()
    _belongings()
    _safety()
    _fingerprints()


def _generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("request", sa.JSON),
        sa.Column("seed", sa.BigInteger),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("weights_sha256", sa.String(64), nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("dtype", sa.Text, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
        sa.Column("latents_sha256", sa.String(64), nullable=False),
        sa.Column("frames_sha256", sa.String(64), nullable=False),
        sa.Column("file_sha256", sa.String(64), nullable=False),
        sa.Column("file_bytes", sa.BigInteger, nullable=False),
        sa.Column("mime", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("fps", sa.Float, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("watermark_key", sa.Text, nullable=False),
        sa.Column("replay_of", ID),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("erased_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
        sa.ForeignKeyConstraint(["replay_of"], ["generations.id"], name="fk_generations_replay_of_generations"),
    )
    op.create_index("ix_generations_created_at_id", "generations", ["created_at", "id"])
    op.create_index("ix_generations_user_name_created_at", "generations", ["user_name", "created_at"])
    op.create_index("ix_generations_file_sha256", "generations", ["file_sha256"])
    op.create_index("ix_generations_replay_of", "generations", ["replay_of"])


def _belongings() -> None:
    op.create_table(
        "manifests",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("timestamped", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("generation_id", name="pk_manifests"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_manifests_generation_id_generations"),
    )
    op.create_table(
        "sources",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("relationship", sa.Text, nullable=False),
        sa.Column("mime", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("own_id", ID),
        sa.Column("consent", sa.JSON),
        sa.PrimaryKeyConstraint("generation_id", "position", name="pk_sources"),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_sources_generation_id_generations"),
    )


def _safety() -> None:
    op.create_table(
        "verdicts",
        sa.Column("id", ID, nullable=False),
        sa.Column("generation_id", ID, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("categories", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("advice", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_generation_id", "verdicts", ["generation_id"])
    op.create_index("ix_verdicts_user_name", "verdicts", ["user_name"])
    op.create_table(
        "held_items",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("request", sa.JSON),
        sa.Column("categories", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("file", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text),
        sa.Column("decided_at", MOMENT),
        sa.Column("decision_reason", sa.Text),
        sa.PrimaryKeyConstraint("generation_id", "stage", name="pk_held_items"),
    )
    op.create_index("ix_held_items_state_created_at", "held_items", ["state", "created_at"])
    op.create_index("ix_held_items_user_name", "held_items", ["user_name"])
    op.create_index("ix_held_items_reviewer", "held_items", ["reviewer"])


def _fingerprints() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("generation_id", ID, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("bits", sa.LargeBinary, nullable=False),
        sa.Column("quality", sa.Integer, nullable=False),
        sa.Column("left_out", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fingerprints"),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name="fk_fingerprints_generation_id_generations"
        ),
    )
    op.create_index("ix_fingerprints_generation_id", "fingerprints", ["generation_id"])
    state = op.create_table(
        "fingerprint_state",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("next_id", sa.BigInteger, nullable=False),
        sa.Column("erasure", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fingerprint_state"),
    )
    op.bulk_insert(state, [{"id": 1, "next_id": 0, "erasure": secrets.randbelow(2**63)}])
