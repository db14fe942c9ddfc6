"""rate limits that all processes count together"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_rate_limits"
down_revision = "claims_fact_about"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_limit",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limit")),
    )
    op.create_index(op.f("ix_rate_limit_full_at"), "rate_limit", ["full_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_rate_limit_full_at"), table_name="rate_limit")
    op.drop_table("rate_limit")
