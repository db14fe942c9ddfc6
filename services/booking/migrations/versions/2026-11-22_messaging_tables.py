"""messaging tables"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "booking_messaging"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("topic", "key", "sequence", name=op.f("uq_outbox_topic_key_sequence")),
        postgresql_with={"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 5000},
    )
    # The relay makes its partitions, a day ahead of the clock, and drops the oldest.
    op.create_table(
        "outbox_archive",
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("archived_at", "id", name=op.f("pk_outbox_archive")),
        postgresql_partition_by="RANGE (archived_at)",
    )
    op.create_index(
        op.f("ix_outbox_archive_key_topic_sequence"), "outbox_archive", ["key", "topic", "sequence"]
    )
    op.create_table(
        "inbox",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("applied", postgresql.INT8MULTIRANGE(), nullable=False),
        sa.Column("parked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("topic", "key", name=op.f("pk_inbox")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
    )
    op.create_index(op.f("ix_dead_letter_topic_key"), "dead_letter", ["topic", "key"])
    op.create_index(
        "uq_dead_letter_unreadable_once",
        "dead_letter",
        ["topic", "origin"],
        unique=True,
        postgresql_where=sa.text("sequence IS NULL"),
    )
    op.create_table(
        "task",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cause", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_worker", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "num_nulls(lease_token, lease_until, lease_worker) IN (0, 3)",
            name=op.f("ck_task_leased_wholly_or_not"),
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (finished_at IS NULL)", name=op.f("ck_task_finished_with_an_outcome")
        ),
        sa.CheckConstraint(
            "outcome IS NULL OR lease_token IS NULL", name=op.f("ck_task_finished_without_a_lease")
        ),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_task")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(op.f("ix_task_due_at"), "task", ["due_at"], postgresql_where=sa.text("outcome IS NULL"))
    op.create_index(
        op.f("ix_task_finished_at"),
        "task",
        ["finished_at"],
        postgresql_where=sa.text("outcome IS NOT NULL"),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("fact", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index(op.f("ix_history_appointment_id_id"), "history", ["appointment_id", "id"])


def downgrade() -> None:
    op.drop_table("history")
    op.drop_table("task")
    op.drop_table("dead_letter")
    op.drop_table("inbox")
    op.drop_table("outbox_archive")
    op.drop_table("outbox")
