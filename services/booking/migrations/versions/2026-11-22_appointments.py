"""appointments"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "a41d07c2e5f8"
down_revision = "booking_messaging"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "appointment",
        sa.Column(
            "status",
            sa.Enum("requested", "confirmed", "cancelled", name="status", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_no", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("int4range(practitioner_no, practitioner_no, '[]')"), "&&"),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            where=sa.text("status <> 'cancelled'"),
            using="gist",
            name="ex_appointment_one_at_a_time",
        ),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_appointment_starts_before_it_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
    )


def downgrade() -> None:
    op.drop_table("appointment")
