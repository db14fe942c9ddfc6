"""the last day of an agenda exception"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "booking_closures_of_days"
down_revision = "booking_strikes_of_each_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agenda_exception", sa.Column("last_on", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("agenda_exception", "last_on")
