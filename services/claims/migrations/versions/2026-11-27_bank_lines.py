"""bank lines of a whole batch are found by it while they wait"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_bank_lines"
down_revision = "claims_sponsor_specialties"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_return_line_batch_id",
        "return_line",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("leg_id IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_return_line_batch_id", table_name="return_line")
