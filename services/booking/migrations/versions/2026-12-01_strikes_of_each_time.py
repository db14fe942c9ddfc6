"""a strike for each time of an appointment that was given up late"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "booking_strikes_of_each_time"
down_revision = "booking_processes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The release before this one writes strikes without it, at most one for each appointment.
    op.add_column("strike", sa.Column("schedule_no", sa.Integer(), server_default="1", nullable=False))
    op.drop_constraint(op.f("pk_strike"), "strike", type_="primary")
    op.create_primary_key(op.f("pk_strike"), "strike", ["appointment_id", "schedule_no"])


def downgrade() -> None:
    op.execute(
        "DELETE FROM strike USING strike AS later WHERE strike.appointment_id = later.appointment_id"
        " AND strike.schedule_no < later.schedule_no"
    )
    op.drop_constraint(op.f("pk_strike"), "strike", type_="primary")
    op.create_primary_key(op.f("pk_strike"), "strike", ["appointment_id"])
    op.drop_column("strike", "schedule_no")
