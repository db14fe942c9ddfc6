"""why a document failed"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "documents_failure"
down_revision = "documents_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("document", sa.Column("failure", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("document", "failure")
