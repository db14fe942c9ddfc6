"""The typesetter with the same template and data, and nothing around it: no view, no signature."""

import json
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst

from documents.domain.content import Kind


class TypstAlone:
    def __init__(self, kind: Kind) -> None:
        folder = Path(str(files("documents.rendering") / "templates"))
        self._template = folder / f"{kind}.typ"
        self._compiler = typst.Compiler(root=folder, ignore_system_fonts=True)

    def compile(self, view: Mapping[str, Any], issued_at: datetime) -> bytes:
        pdf = self._compiler.compile(
            input=self._template,
            format="pdf",
            pdf_standards=["a-2a", "ua-1"],
            sys_inputs={"data": json.dumps(view, ensure_ascii=False)},
            timestamp=issued_at,
        )
        if not isinstance(pdf, bytes):
            raise TypeError("the compiler gave no single file")
        return pdf
