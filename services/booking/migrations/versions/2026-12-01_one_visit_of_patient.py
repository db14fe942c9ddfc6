"""nobody is in two visits at once: a number of each patient, and an exclusion constraint"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "booking_one_visit_of_patient"
down_revision = "booking_closures_of_days"
branch_labels = None
depends_on = None

_BUSY = "status IN ('requested', 'confirmed', 'started')"


def upgrade() -> None:
    op.add_column("patient", sa.Column("no", sa.Integer(), sa.Identity(), nullable=False))
    op.create_unique_constraint(op.f("uq_patient_no"), "patient", ["no"])
    # The release before this one writes appointments without it: the constraint leaves those alone.
    op.add_column("appointment", sa.Column("patient_no", sa.Integer(), nullable=True))
    # Of visits that overlap already the one that was requested first gets the number.
    op.execute(f"""
        UPDATE appointment SET patient_no = patient.no FROM patient
        WHERE patient.id = appointment.patient_id AND NOT EXISTS (
            SELECT FROM appointment AS earlier
            WHERE earlier.patient_id = appointment.patient_id AND earlier.id < appointment.id
              AND earlier.{_BUSY} AND appointment.{_BUSY}
              AND tstzrange(earlier.starts_at, earlier.ends_at)
                  && tstzrange(appointment.starts_at, appointment.ends_at)
        )
    """)  # noqa: S608  our own constant
    op.execute(f"""
        ALTER TABLE appointment ADD CONSTRAINT ex_appointment_one_visit_of_patient EXCLUDE USING gist (
            int4range(patient_no, patient_no, '[]') WITH &&, tstzrange(starts_at, ends_at) WITH &&
        ) WHERE (patient_no IS NOT NULL AND {_BUSY})
    """)


def downgrade() -> None:
    op.drop_constraint("ex_appointment_one_visit_of_patient", "appointment")
    op.drop_column("appointment", "patient_no")
    op.drop_constraint(op.f("uq_patient_no"), "patient", type_="unique")
    op.drop_column("patient", "no")
