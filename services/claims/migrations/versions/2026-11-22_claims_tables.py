"""claims: coverage, quotes, care acts, legs, returns, balances"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "claims_tables"
down_revision = "claims_web"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("leader_leg_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state", sa.Enum("made", "sent", name="batchstate", native_enum=False, length=32), nullable=False
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_table(
        "coverage",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("priced_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("patient_id", name=op.f("pk_coverage")),
    )
    op.create_table(
        "early_fact",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("appointment_id", "topic", "sequence", name=op.f("pk_early_fact")),
    )
    op.create_table(
        "gateway_cursor",
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name=op.f("pk_gateway_cursor")),
    )
    op.create_table(
        "invoice_counter",
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("biller_id", name=op.f("pk_invoice_counter")),
    )
    op.create_table(
        "practitioner",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("rpps", sa.String(), nullable=True),
        sa.Column("biller_id", sa.Uuid(), nullable=True),
        sa.Column("profession", sa.String(), nullable=True),
        sa.Column("specialty", sa.String(), nullable=True),
        sa.Column("sector", sa.String(), nullable=True),
        sa.Column("zone", sa.String(), nullable=True),
        sa.Column("agreed_company", sa.Boolean(), nullable=False),
        sa.Column("third_party_payment", sa.String(), nullable=True),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practitioner")),
    )
    op.create_table(
        "preview",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("base_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_cents", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_cents", sa.BigInteger(), nullable=False),
        sa.Column("advance_cents", sa.BigInteger(), nullable=False),
        sa.Column("deferred_deductions_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("sheet_mode", sa.String(), nullable=False),
        sa.Column("table_version", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("inputs_index", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preview")),
    )
    op.create_index(op.f("ix_preview_created_at"), "preview", ["created_at"], unique=False)
    op.create_table(
        "return_line",
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=True),
        sa.Column("invoice_no", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "applied", "ignored", "waiting", "refused", name="linestate", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("payer", "return_id", "line", name=op.f("pk_return_line")),
    )
    op.create_index(op.f("ix_return_line_leg_id"), "return_line", ["leg_id"], unique=False)
    op.create_table(
        "rights_answer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("coverage_version", sa.Integer(), nullable=False),
        sa.Column("payer_kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("known_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rights_answer")),
    )
    op.create_index(
        op.f("ix_rights_answer_patient_id_coverage_version"),
        "rights_answer",
        ["patient_id", "coverage_version"],
        unique=False,
    )
    op.create_table(
        "story_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=True),
        sa.Column("payer_kind", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_story_entry")),
    )
    op.create_index(
        op.f("ix_story_entry_appointment_id_id"), "story_entry", ["appointment_id", "id"], unique=False
    )
    op.create_table(
        "sponsor_offer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code_index", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=True),
        sa.Column("percent", sa.Integer(), nullable=True),
        sa.Column("max_cents", sa.BigInteger(), nullable=True),
        sa.Column("monthly_cap_cents", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("valid_from <= valid_to", name=op.f("ck_sponsor_offer_begins_before_it_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sponsor_offer")),
        sa.UniqueConstraint("code_index", name=op.f("uq_sponsor_offer_code_index")),
    )
    op.create_table(
        "stream",
        sa.Column(
            "status",
            sa.Enum(
                "unknown",
                "live",
                "started",
                "ended",
                "unpriced",
                "priced",
                name="status",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("practitioner_id", sa.Uuid(), nullable=True),
        sa.Column("schedule_no", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decide_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_advance_cents", sa.BigInteger(), nullable=True),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("facts_wait", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream")),
    )
    op.create_index(op.f("ix_stream_patient_id_status"), "stream", ["patient_id", "status"], unique=False)
    op.create_table(
        "care_act",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("coverage_version", sa.Integer(), nullable=False),
        sa.Column("care_on", sa.Date(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("priced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pathway_indicator", sa.String(), nullable=True),
        sa.Column("rights_pending", sa.Boolean(), nullable=False),
        sa.Column("flat_contribution_cents", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_offer_id", sa.Uuid(), nullable=True),
        sa.Column("insured_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("base_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_cents", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_cents", sa.BigInteger(), nullable=False),
        sa.Column("advance_cents", sa.BigInteger(), nullable=False),
        sa.Column("deferred_deductions_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("sheet_mode", sa.String(), nullable=False),
        sa.Column("table_version", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("inputs_index", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_care_act_appointment_id")),
        sa.ForeignKeyConstraint(
            ["sponsor_offer_id"], ["sponsor_offer.id"], name=op.f("fk_care_act_sponsor_offer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_care_act")),
        sa.UniqueConstraint("appointment_id", name=op.f("uq_care_act_appointment_id")),
    )
    op.create_index(
        op.f("ix_care_act_patient_id_care_on"), "care_act", ["patient_id", "care_on"], unique=False
    )
    op.create_index(
        op.f("ix_care_act_practitioner_id_completed_at_id"),
        "care_act",
        ["practitioner_id", "completed_at", "id"],
        unique=False,
    )
    op.create_table(
        "unpriced_care",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("care_on", sa.Date(), nullable=False),
        sa.Column("completion", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("refusal", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("table_version", sa.String(), nullable=False),
        sa.Column("corrections", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_id"], ["stream.id"], name=op.f("fk_unpriced_care_appointment_id")
        ),
        sa.PrimaryKeyConstraint("appointment_id", name=op.f("pk_unpriced_care")),
    )
    op.create_index(
        op.f("ix_unpriced_care_practitioner_id_appointment_id"),
        "unpriced_care",
        ["practitioner_id", "appointment_id"],
        unique=False,
    )
    op.create_index(op.f("ix_unpriced_care_table_version"), "unpriced_care", ["table_version"], unique=False)
    op.create_table(
        "coverage_version",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stated_by", sa.Uuid(), nullable=False),
        sa.Column("insured", sa.String(), nullable=False),
        sa.Column("scheme", sa.String(), nullable=False),
        sa.Column("amc_number", sa.String(), nullable=True),
        sa.Column("amc_declared", sa.String(), nullable=False),
        sa.Column("sponsor_offer_id", sa.Uuid(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("nir_index", sa.LargeBinary(), nullable=True),
        sa.Column("member_index", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["coverage.patient_id"], name=op.f("fk_coverage_version_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["sponsor_offer_id"], ["sponsor_offer.id"], name=op.f("fk_coverage_version_sponsor_offer_id")
        ),
        sa.PrimaryKeyConstraint("patient_id", "version", name=op.f("pk_coverage_version")),
    )
    op.create_index(
        op.f("ix_coverage_version_member_index"), "coverage_version", ["member_index"], unique=False
    )
    op.create_index(op.f("ix_coverage_version_nir_index"), "coverage_version", ["nir_index"], unique=False)
    op.create_table(
        "quote",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("schedule_no", sa.Integer(), nullable=False),
        sa.Column("coverage_version", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("issued", "superseded", "voided", name="quotestate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("base_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_cents", sa.BigInteger(), nullable=False),
        sa.Column("sponsor_cents", sa.BigInteger(), nullable=False),
        sa.Column("advance_cents", sa.BigInteger(), nullable=False),
        sa.Column("deferred_deductions_cents", sa.BigInteger(), nullable=False),
        sa.Column("amo_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("amc_claim_cents", sa.BigInteger(), nullable=False),
        sa.Column("sheet_mode", sa.String(), nullable=False),
        sa.Column("table_version", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("inputs_index", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_quote_appointment_id")),
        sa.PrimaryKeyConstraint("appointment_id", "revision", name=op.f("pk_quote")),
    )
    op.create_table(
        "leg",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("care_act_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("payer_kind", sa.String(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "rights-pending",
                "ready",
                "batched",
                "sent",
                "acked",
                "nacked",
                "ack-timeout",
                "accepted",
                "paid",
                "partially-paid",
                "rejected",
                "corrected",
                "payment-late",
                "fallback-patient",
                "patient-paid",
                "paper-fallback",
                "reversed",
                "disputed",
                "written-off",
                "abandoned",
                name="state",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("invoice_no", sa.String(), nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), nullable=False),
        sa.Column("reversed_cents", sa.BigInteger(), nullable=False),
        sa.Column("reject_code", sa.String(), nullable=True),
        sa.Column("reject_family", sa.String(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("send_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ack_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resend_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pay_by", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_leg_asks_for_something")),
        sa.ForeignKeyConstraint(["care_act_id"], ["care_act.id"], name=op.f("fk_leg_care_act_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leg")),
        sa.UniqueConstraint("care_act_id", "payer_kind", name=op.f("uq_leg_care_act_id_payer_kind")),
    )
    op.create_index(op.f("ix_leg_appointment_id"), "leg", ["appointment_id"], unique=False)
    op.create_index(
        op.f("ix_leg_state_payer_biller_id"), "leg", ["state", "payer", "biller_id"], unique=False
    )
    op.create_table(
        "balance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=True),
        sa.Column("payer_kind", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("collect", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("open", "settled", name="balancestate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("charge_failure", sa.String(), nullable=True),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_balance_owes_something")),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_balance_appointment_id")),
        sa.ForeignKeyConstraint(["leg_id"], ["leg.id"], name=op.f("fk_balance_leg_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance")),
        sa.UniqueConstraint(
            "appointment_id",
            "reason",
            "leg_id",
            name=op.f("uq_balance_appointment_id_reason_leg_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "invoice",
        sa.Column("biller_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_no", sa.String(), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["leg_id"], ["leg.id"], name=op.f("fk_invoice_leg_id")),
        sa.PrimaryKeyConstraint("biller_id", "invoice_no", name=op.f("pk_invoice")),
    )
    op.create_index(op.f("ix_invoice_leg_id"), "invoice", ["leg_id"], unique=False)
    op.create_table(
        "posting",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_posting_moves_something")),
        sa.ForeignKeyConstraint(["leg_id"], ["leg.id"], name=op.f("fk_posting_leg_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting")),
        sa.UniqueConstraint(
            "payer", "return_id", "line", "leg_id", name=op.f("uq_posting_payer_return_id_line_leg_id")
        ),
    )
    op.create_index(op.f("ix_posting_leg_id"), "posting", ["leg_id"], unique=False)
    op.create_table(
        "submission",
        sa.Column("leg_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_no", sa.String(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.Column("reject_code", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_submission_batch_id")),
        sa.ForeignKeyConstraint(["leg_id"], ["leg.id"], name=op.f("fk_submission_leg_id")),
        sa.PrimaryKeyConstraint("leg_id", "attempt", name=op.f("pk_submission")),
    )
    op.create_index(op.f("ix_submission_batch_id"), "submission", ["batch_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_submission_batch_id"), table_name="submission")
    op.drop_table("submission")
    op.drop_index(op.f("ix_posting_leg_id"), table_name="posting")
    op.drop_table("posting")
    op.drop_index(op.f("ix_invoice_leg_id"), table_name="invoice")
    op.drop_table("invoice")
    op.drop_table("balance")
    op.drop_index(op.f("ix_leg_state_payer_biller_id"), table_name="leg")
    op.drop_index(op.f("ix_leg_appointment_id"), table_name="leg")
    op.drop_table("leg")
    op.drop_table("quote")
    op.drop_index(op.f("ix_coverage_version_nir_index"), table_name="coverage_version")
    op.drop_index(op.f("ix_coverage_version_member_index"), table_name="coverage_version")
    op.drop_table("coverage_version")
    op.drop_index(op.f("ix_unpriced_care_table_version"), table_name="unpriced_care")
    op.drop_index(op.f("ix_unpriced_care_practitioner_id_appointment_id"), table_name="unpriced_care")
    op.drop_table("unpriced_care")
    op.drop_index(op.f("ix_care_act_practitioner_id_completed_at_id"), table_name="care_act")
    op.drop_index(op.f("ix_care_act_patient_id_care_on"), table_name="care_act")
    op.drop_table("care_act")
    op.drop_index(op.f("ix_stream_patient_id_status"), table_name="stream")
    op.drop_table("stream")
    op.drop_table("sponsor_offer")
    op.drop_index(op.f("ix_story_entry_appointment_id_id"), table_name="story_entry")
    op.drop_table("story_entry")
    op.drop_index(op.f("ix_rights_answer_patient_id_coverage_version"), table_name="rights_answer")
    op.drop_table("rights_answer")
    op.drop_index(op.f("ix_return_line_leg_id"), table_name="return_line")
    op.drop_table("return_line")
    op.drop_index(op.f("ix_preview_created_at"), table_name="preview")
    op.drop_table("preview")
    op.drop_table("practitioner")
    op.drop_table("invoice_counter")
    op.drop_table("gateway_cursor")
    op.drop_table("early_fact")
    op.drop_table("coverage")
    op.drop_table("batch")
