"""the permanent right of a practitioner to charge above the tariff"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_permanent_overrun"
down_revision = "claims_direct_payment"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before this one writes practitioners without it.
    op.add_column(
        "practitioner",
        sa.Column("permanent_overrun", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("practitioner", "permanent_overrun")
