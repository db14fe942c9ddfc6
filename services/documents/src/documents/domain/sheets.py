"""Which document a consultation's way of billing gives."""

from typing import assert_never

from documents.domain.content import Kind, SheetMode


def document_of(mode: SheetMode) -> Kind:
    """The one document the patient must get for this mode."""
    match mode:
        case SheetMode.TP:
            return Kind.CLAIM_STATEMENT
        case SheetMode.TP_RECEIPT:
            return Kind.RECEIPT
        case SheetMode.FSE | SheetMode.PAPER:
            return Kind.CARE_SHEET
        case SheetMode.INVOICE:
            return Kind.INVOICE
        case _:
            assert_never(mode)
