"""whose invoice a line of a return names, and whether it accepts a file: what a repetition is compared with"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_return_line_content"
down_revision = "claims_permanent_overrun"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Lines of before, and those that the release before this one writes, stay without them.
    op.add_column("return_line", sa.Column("biller_id", sa.Uuid()))
    op.add_column("return_line", sa.Column("accepted", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("return_line", "accepted")
    op.drop_column("return_line", "biller_id")
