"""payments: streams, holds, cards, balances, refunds, ledger, provider events"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "payment_holds"
down_revision = "payment_web"
branch_labels = None
depends_on = None

_REFUSE_CHANGES = """
    CREATE FUNCTION ledger_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'ledger entries are never changed';
    END $$
"""
_CHECK_BALANCE = """
    CREATE FUNCTION ledger_journal_balances() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT sum(amount_cents) FROM ledger_entry WHERE journal = NEW.journal) <> 0 THEN
            RAISE EXCEPTION 'journal % does not sum to zero', NEW.journal;
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.create_table(
        "account_patient",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "patient_id", name=op.f("pk_account_patient")),
    )
    op.create_index(op.f("ix_account_patient_patient_id"), "account_patient", ["patient_id"], unique=False)
    op.create_table(
        "card",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("provider_token", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(), nullable=True),
        sa.Column("last4", sa.String(), nullable=True),
        sa.Column("expiry_month", sa.Integer(), nullable=True),
        sa.Column("expiry_year", sa.Integer(), nullable=True),
        sa.Column("action_url", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mandate_text_version", sa.String(), nullable=True),
        sa.Column("mandate_reason", sa.String(), nullable=True),
        sa.Column("mandate_accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mandate_ceiling_cents", sa.BigInteger(), nullable=True),
        sa.Column("mandate_within_days", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("provider_token", name=op.f("uq_card_provider_token")),
    )
    op.create_index(op.f("ix_card_account_id"), "card", ["account_id"], unique=False)
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("journal", sa.String(), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_cents <> 0", name=op.f("ck_ledger_entry_moves_something")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("journal", "account", name=op.f("uq_ledger_entry_journal_account")),
    )
    op.create_index(op.f("ix_ledger_entry_appointment_id"), "ledger_entry", ["appointment_id"], unique=False)
    op.create_table(
        "provider_event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_event")),
    )
    op.create_index(op.f("ix_provider_event_received_at"), "provider_event", ["received_at"], unique=False)
    op.create_table(
        "stream",
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("schedule_no", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decide_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("quote_schedule_no", sa.Integer(), nullable=False),
        sa.Column("advance_cents", sa.BigInteger(), nullable=False),
        sa.Column("agreed_cents", sa.BigInteger(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=True),
        sa.Column("answered_schedule_no", sa.Integer(), nullable=False),
        sa.Column("waived", sa.Boolean(), nullable=False),
        sa.Column("place_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("action", sa.String(length=32), nullable=True),
        sa.Column("action_revision", sa.Integer(), nullable=False),
        sa.Column("action_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=32), nullable=True),
        sa.Column("kept_cents", sa.BigInteger(), nullable=False),
        sa.Column("priced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_cents", sa.BigInteger(), nullable=False),
        sa.Column("lapsed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("short_cents", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream")),
    )
    op.create_index(op.f("ix_stream_account_id"), "stream", ["account_id"], unique=False)
    op.create_table(
        "balance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("card_id", sa.Uuid(), nullable=True),
        sa.Column("provider_id", sa.String(), nullable=True),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("charged_cents", sa.BigInteger(), nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "charged_cents <= amount_cents", name=op.f("ck_balance_charges_no_more_than_owed")
        ),
        sa.CheckConstraint(
            "refunded_cents <= charged_cents", name=op.f("ck_balance_refunds_no_more_than_charged")
        ),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_balance_appointment_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_balance_card_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance")),
    )
    op.create_index(op.f("ix_balance_appointment_id"), "balance", ["appointment_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("schedule_no", sa.Integer(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("asked_cents", sa.BigInteger(), nullable=False),
        sa.Column("held_cents", sa.BigInteger(), nullable=False),
        sa.Column("captured_cents", sa.BigInteger(), nullable=False),
        sa.Column("released_cents", sa.BigInteger(), nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.String(), nullable=True),
        sa.Column("capture_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("action_url", sa.String(), nullable=True),
        sa.Column("action_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("capture_cents", sa.BigInteger(), nullable=True),
        sa.Column("release_reason", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("asked_cents > 0", name=op.f("ck_hold_asks_for_something")),
        sa.CheckConstraint(
            "captured_cents + released_cents <= held_cents", name=op.f("ck_hold_ends_with_what_was_held")
        ),
        sa.CheckConstraint(
            "refunded_cents <= captured_cents", name=op.f("ck_hold_refunds_no_more_than_captured")
        ),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_hold_appointment_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_hold_card_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("appointment_id", "attempt", name=op.f("uq_hold_appointment_id_attempt")),
    )
    op.create_index(
        op.f("ix_hold_status"),
        "hold",
        ["status"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'unknown', 'action-required', 'held')"),
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("balance_id", sa.Uuid(), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_refund_returns_something")),
        sa.CheckConstraint(
            "num_nonnulls(hold_id, balance_id) = 1", name=op.f("ck_refund_of_a_capture_or_of_a_charge")
        ),
        sa.ForeignKeyConstraint(["appointment_id"], ["stream.id"], name=op.f("fk_refund_appointment_id")),
        sa.ForeignKeyConstraint(["balance_id"], ["balance.id"], name=op.f("fk_refund_balance_id")),
        sa.ForeignKeyConstraint(["hold_id"], ["hold.id"], name=op.f("fk_refund_hold_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
    )
    op.create_index(op.f("ix_refund_appointment_id"), "refund", ["appointment_id"], unique=False)
    op.execute(_REFUSE_CHANGES)
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_entry"
        " FOR EACH ROW EXECUTE FUNCTION ledger_entry_is_append_only()"
    )
    op.execute(_CHECK_BALANCE)
    op.execute(
        "CREATE CONSTRAINT TRIGGER journal_balances AFTER INSERT ON ledger_entry"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_journal_balances()"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_refund_appointment_id"), table_name="refund")
    op.drop_table("refund")
    op.drop_index(
        op.f("ix_hold_status"),
        table_name="hold",
        postgresql_where=sa.text("status IN ('pending', 'unknown', 'action-required', 'held')"),
    )
    op.drop_table("hold")
    op.drop_index(op.f("ix_balance_appointment_id"), table_name="balance")
    op.drop_table("balance")
    op.drop_index(op.f("ix_stream_account_id"), table_name="stream")
    op.drop_table("stream")
    op.drop_index(op.f("ix_provider_event_received_at"), table_name="provider_event")
    op.drop_table("provider_event")
    op.drop_index(op.f("ix_ledger_entry_appointment_id"), table_name="ledger_entry")
    op.drop_table("ledger_entry")
    op.drop_index(op.f("ix_card_account_id"), table_name="card")
    op.drop_table("card")
    op.drop_index(op.f("ix_account_patient_patient_id"), table_name="account_patient")
    op.drop_table("account_patient")
    op.execute("DROP FUNCTION ledger_journal_balances()")
    op.execute("DROP FUNCTION ledger_entry_is_append_only()")
