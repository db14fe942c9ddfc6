"""a leg says whom its payer pays, and an appointment that its sheet waits for the patient's money"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_direct_payment"
down_revision = "claims_bank_lines"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leg", sa.Column("paid_to", sa.String(), server_default="provider", nullable=False))
    op.add_column("stream", sa.Column("sheet_waits", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("stream", "sheet_waits")
    op.drop_column("leg", "paid_to")
