"""age group and answers of an appointment; the permanent right to charge above the tariff"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "booking_ages_and_answers"
down_revision = "booking_appointments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing to fill in: birth dates are sealed, and without a group the flags go on counting.
    op.add_column("appointment", sa.Column("age_group", sa.String(), nullable=True))
    op.add_column("appointment", sa.Column("seen_in_person", sa.Boolean(), nullable=True))
    # The release before this one writes practitioners without it.
    op.add_column(
        "practitioner",
        sa.Column("permanent_overrun", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("practitioner", "permanent_overrun")
    op.drop_column("appointment", "seen_in_person")
    op.drop_column("appointment", "age_group")
