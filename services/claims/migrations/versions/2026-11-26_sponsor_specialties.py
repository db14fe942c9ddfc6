"""sponsor offers for some specialties; sessions with partner psychologists"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_sponsor_specialties"
down_revision = "claims_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sponsor_offer", sa.Column("covered_specialties", sa.ARRAY(sa.String()), nullable=True))
    # The release before this one writes care without it: with the partnership off there are no such sessions.
    op.add_column(
        "care_act", sa.Column("partner_session", sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("care_act", "partner_session")
    op.drop_column("sponsor_offer", "covered_specialties")
