"""the time zone of the place where a practitioner works"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_practitioner_time_zone"
down_revision = "claims_more_or_less_than_owed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("practitioner", sa.Column("time_zone", sa.String()))


def downgrade() -> None:
    op.drop_column("practitioner", "time_zone")
