"""money that a payer paid above its claim, and why it paid less"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_more_or_less_than_owed"
down_revision = "claims_return_line_content"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leg", sa.Column("owed_back_cents", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("leg", sa.Column("paid_less_code", sa.String()))


def downgrade() -> None:
    op.drop_column("leg", "paid_less_code")
    op.drop_column("leg", "owed_back_cents")
