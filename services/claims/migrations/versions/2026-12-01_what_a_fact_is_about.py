"""what a fact is about"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "claims_fact_about"
down_revision = "claims_processes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("history", sa.Column("about_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("history", "about_id")
