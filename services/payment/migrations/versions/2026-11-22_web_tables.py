"""web tables: idempotency, rights, access log, data keys"""

# The running release works on this schema until it is replaced: expand, backfill in batches, contract, in three
# releases. A rename, a NOT NULL without a default or a type change is never one step.

import sqlalchemy as sa
from alembic import op

revision = "payment_web"
down_revision = "payment_messaging"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "grant",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grant")),
        sa.UniqueConstraint(
            "patient_id",
            "holder",
            "appointment_id",
            name=op.f("uq_grant_patient_id_holder_appointment_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        op.f("ix_grant_appointment_id_holder"), "grant", ["appointment_id", "holder"], unique=False
    )
    op.create_table(
        "practitioner_key",
        sa.Column("practitioner_id", sa.Uuid(), nullable=False),
        sa.Column("rpps", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("practitioner_id", name=op.f("pk_practitioner_key")),
    )
    op.create_index(op.f("ix_practitioner_key_rpps"), "practitioner_key", ["rpps"], unique=False)
    op.create_table(
        "access_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("client", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_log")),
    )
    op.create_index(op.f("ix_access_log_patient_id_id"), "access_log", ["patient_id", "id"], unique=False)
    # Rows end by retention only; what was written about an access is never written over.
    op.execute("""
        CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER access_log_is_append_only BEFORE UPDATE ON access_log
        FOR EACH ROW EXECUTE FUNCTION refuse_update()
    """)
    op.create_table(
        "data_key",
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("master_key", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("patient_id", "kind", name=op.f("pk_data_key")),
    )
    op.create_index(op.f("ix_data_key_master_key"), "data_key", ["master_key"], unique=False)


def downgrade() -> None:
    op.drop_table("data_key")
    op.drop_table("access_log")
    op.execute("DROP FUNCTION refuse_update")
    op.drop_table("practitioner_key")
    op.drop_table("grant")
    op.drop_table("idempotency")
