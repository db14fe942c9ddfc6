"""what the card provider did by itself: the origin of a refund, the last comparison; withdrawn mandates"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "payment_by_itself"
down_revision = "payment_holds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("card", sa.Column("mandate_withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "refund",
        sa.Column("origin", sa.String(length=32), server_default="platform", nullable=False),
    )
    op.add_column("refund", sa.Column("not_due_cents", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("refund", sa.Column("failure", sa.String(), nullable=True))
    # Captures of before were told when they were made.
    op.add_column(
        "hold", sa.Column("capture_told", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.execute(
        "UPDATE hold SET capture_told = false"
        " WHERE status IN ('pending', 'unknown', 'action-required', 'held', 'withdrawn')"
    )
    op.create_table(
        "provider_comparison",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_cents", sa.BigInteger(), nullable=False),
        sa.Column("captured_cents", sa.BigInteger(), nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), nullable=False),
        sa.Column("differences", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_provider_comparison_is_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_comparison")),
    )


def downgrade() -> None:
    op.drop_table("provider_comparison")
    op.drop_column("hold", "capture_told")
    op.drop_column("refund", "failure")
    op.drop_column("refund", "not_due_cents")
    op.drop_column("refund", "origin")
    op.drop_column("card", "mandate_withdrawn_at")
