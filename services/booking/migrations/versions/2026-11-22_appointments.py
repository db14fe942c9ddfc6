"""people, agendas, offers, appointments"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "booking_appointments"
down_revision = "booking_web"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "appointment",
        sa.Column(
            "status",
            sa.Enum(
                "requested",
                "confirmed",
                "started",
                "completed",
                "cancelled",
                "abandoned",
                "not-billed",
                "patient-absent",
                name="status",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("schedule_no", sa.Integer(), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_no", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decide_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=False),
        sa.Column("preview_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("pathway", sa.String(), nullable=False),
        sa.Column("territory", sa.String(), nullable=False),
        sa.Column("exemption_related", sa.Boolean(), nullable=False),
        sa.Column("under_16", sa.Boolean(), nullable=False),
        sa.Column("minor_on_1_january", sa.Boolean(), nullable=False),
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("profession", sa.String(), nullable=False),
        sa.Column("specialty", sa.String(length=2), nullable=False),
        sa.Column("sector", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("agreed_company", sa.Boolean(), nullable=False),
        sa.Column("third_party_payment", sa.String(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column(
            "cancelled_by",
            sa.Enum("patient", "practitioner", "platform", name="party", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("free_cancellation", sa.Boolean(), nullable=True),
        sa.Column("acts", sa.ARRAY(sa.String()), nullable=True),
        sa.Column("completed_fee_cents", sa.BigInteger(), nullable=True),
        sa.Column("overrun_qualifier", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("payment_sequence", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("action_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.text("int4range(practitioner_no, practitioner_no, '[]')"), "&&"),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            where=sa.text("status IN ('requested', 'confirmed', 'started', 'completed')"),
            using="gist",
            name="ex_appointment_one_at_a_time",
        ),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_appointment_starts_before_it_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
    )
    op.create_index(op.f("ix_appointment_account_id_id"), "appointment", ["account_id", "id"], unique=False)
    op.create_index(op.f("ix_appointment_patient_id_id"), "appointment", ["patient_id", "id"], unique=False)
    op.create_index(
        op.f("ix_appointment_practitioner_id_id"), "appointment", ["practitioner_id", "id"], unique=False
    )
    op.create_table(
        "offer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_no", sa.Integer(), nullable=False),
        sa.Column("profession", sa.String(), nullable=False),
        sa.Column("specialty", sa.String(length=2), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "mode", sa.Enum("video", "audio", name="mode", native_enum=False, length=32), nullable=False
        ),
        sa.Column("taken_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_offer_starts_before_it_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offer")),
        sa.UniqueConstraint("practitioner_no", "starts_at", name=op.f("uq_offer_practitioner_no_starts_at")),
    )
    op.create_index(
        "ix_offer_free_of_practitioner",
        "offer",
        ["practitioner_id", "starts_at", "id"],
        unique=False,
        postgresql_where=sa.text("taken_by IS NULL"),
    )
    op.create_index(
        "ix_offer_free_of_profession",
        "offer",
        ["profession", "starts_at", "id"],
        unique=False,
        postgresql_where=sa.text("taken_by IS NULL"),
    )
    op.create_index(
        "ix_offer_free_of_specialty",
        "offer",
        ["profession", "specialty", "starts_at", "id"],
        unique=False,
        postgresql_where=sa.text("taken_by IS NULL"),
    )
    op.create_index(
        "ix_offer_taken_by",
        "offer",
        ["taken_by"],
        unique=False,
        postgresql_where=sa.text("taken_by IS NOT NULL"),
    )
    op.create_table(
        "patient",
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=True),
        sa.Column("born_on", sa.LargeBinary(), nullable=True),
        sa.Column("identity_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
    )
    op.create_index(op.f("ix_patient_identity_hash"), "patient", ["identity_hash"], unique=False)
    op.create_table(
        "practitioner",
        sa.Column("no", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("rpps", sa.String(length=11), nullable=False),
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("billing_number", sa.String(length=9), nullable=True),
        sa.Column("profession", sa.String(), nullable=False),
        sa.Column("specialty", sa.String(length=2), nullable=False),
        sa.Column("sector", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("agreed_company", sa.Boolean(), nullable=False),
        sa.Column("third_party_payment", sa.String(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("first_name", sa.String(), nullable=False),
        sa.Column("last_name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("sort_name", sa.String(), nullable=False),
        sa.Column("street", sa.String(), nullable=False),
        sa.Column("postal_code", sa.String(), nullable=False),
        sa.Column("city", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("languages", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agenda_revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("fee_cents > 0", name=op.f("ck_practitioner_fee_is_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practitioner")),
        sa.UniqueConstraint("no", name=op.f("uq_practitioner_no")),
        sa.UniqueConstraint("rpps", name=op.f("uq_practitioner_rpps")),
    )
    op.create_index(
        op.f("ix_practitioner_profession_specialty"),
        "practitioner",
        ["profession", "specialty"],
        unique=False,
    )
    op.create_index(op.f("ix_practitioner_sort_name_id"), "practitioner", ["sort_name", "id"], unique=False)
    op.create_index("ix_practitioner_words", "practitioner", ["words"], unique=False, postgresql_using="gin")
    op.create_table(
        "agenda_exception",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("closed", "open", name="exceptionkind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("from_time", sa.Time(), nullable=True),
        sa.Column("to_time", sa.Time(), nullable=True),
        sa.Column("slot_minutes", sa.Integer(), nullable=True),
        sa.Column(
            "mode", sa.Enum("video", "audio", name="mode", native_enum=False, length=32), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["practitioner_id"], ["practitioner.id"], name=op.f("fk_agenda_exception_practitioner_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agenda_exception")),
    )
    op.create_index(
        op.f("ix_agenda_exception_practitioner_id"), "agenda_exception", ["practitioner_id"], unique=False
    )
    op.create_table(
        "agenda_rule",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("from_time", sa.Time(), nullable=False),
        sa.Column("to_time", sa.Time(), nullable=False),
        sa.Column("slot_minutes", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column(
            "mode", sa.Enum("video", "audio", name="mode", native_enum=False, length=32), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["practitioner_id"], ["practitioner.id"], name=op.f("fk_agenda_rule_practitioner_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agenda_rule")),
    )
    op.create_index(op.f("ix_agenda_rule_practitioner_id"), "agenda_rule", ["practitioner_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("text_version", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_consent_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index(
        op.f("ix_consent_patient_id_given_at"), "consent", ["patient_id", "given_at"], unique=False
    )
    op.create_table(
        "link",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("relation", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_link_patient_id")),
        sa.PrimaryKeyConstraint("account_id", "patient_id", name=op.f("pk_link")),
    )
    op.create_index(op.f("ix_link_patient_id"), "link", ["patient_id"], unique=False)
    op.create_index(
        "uq_link_one_self_per_account",
        "link",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("relation = 'self'"),
    )
    op.create_table(
        "strike",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("late-cancellation", "patient-absent", name="strikekind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["appointment.id"], name=op.f("fk_strike_appointment_id")
        ),
        sa.PrimaryKeyConstraint("appointment_id", name=op.f("pk_strike")),
    )
    op.create_index(op.f("ix_strike_account_id"), "strike", ["account_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_strike_account_id"), table_name="strike")
    op.drop_table("strike")
    op.drop_index(
        "uq_link_one_self_per_account", table_name="link", postgresql_where=sa.text("relation = 'self'")
    )
    op.drop_index(op.f("ix_link_patient_id"), table_name="link")
    op.drop_table("link")
    op.drop_index(op.f("ix_consent_patient_id_given_at"), table_name="consent")
    op.drop_table("consent")
    op.drop_index(op.f("ix_agenda_rule_practitioner_id"), table_name="agenda_rule")
    op.drop_table("agenda_rule")
    op.drop_index(op.f("ix_agenda_exception_practitioner_id"), table_name="agenda_exception")
    op.drop_table("agenda_exception")
    op.drop_index(op.f("ix_practitioner_sort_name_id"), table_name="practitioner")
    op.drop_index("ix_practitioner_words", table_name="practitioner", postgresql_using="gin")
    op.drop_index(op.f("ix_practitioner_profession_specialty"), table_name="practitioner")
    op.drop_table("practitioner")
    op.drop_index(op.f("ix_patient_identity_hash"), table_name="patient")
    op.drop_table("patient")
    op.drop_index("ix_offer_taken_by", table_name="offer", postgresql_where=sa.text("taken_by IS NOT NULL"))
    op.drop_index(
        "ix_offer_free_of_specialty", table_name="offer", postgresql_where=sa.text("taken_by IS NULL")
    )
    op.drop_index(
        "ix_offer_free_of_profession", table_name="offer", postgresql_where=sa.text("taken_by IS NULL")
    )
    op.drop_index(
        "ix_offer_free_of_practitioner", table_name="offer", postgresql_where=sa.text("taken_by IS NULL")
    )
    op.drop_table("offer")
    op.drop_index(op.f("ix_appointment_practitioner_id_id"), table_name="appointment")
    op.drop_index(op.f("ix_appointment_patient_id_id"), table_name="appointment")
    op.drop_index(op.f("ix_appointment_account_id_id"), table_name="appointment")
    op.drop_table("appointment")
