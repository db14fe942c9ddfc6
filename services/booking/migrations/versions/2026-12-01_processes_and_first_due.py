"""which processes run with which master keys; when a task was first due"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "booking_processes"
down_revision = "booking_ages_and_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("first_due_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "process",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("master_keys", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process")),
    )


def downgrade() -> None:
    op.drop_table("process")
    op.drop_column("task", "first_due_at")
