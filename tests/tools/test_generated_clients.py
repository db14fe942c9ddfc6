"""What a generator lost is seen in what it wrote: an amount that is no integer, a field that says nothing."""

import pytest

from tools.clients.generating import amounts_and_faults

GOOD = {
    "typescript": "        held_cents: number;\n        due_cents?: number | null;\n        all: string[];\n",
    "python": (
        "    held_cents: Annotated[int, Field(strict=True, ge=0)]\n"
        "    additional_properties: Dict[str, Any] = {}\n"
    ),
    "java": "  private Long heldCents;\n  private Object instance;\n",
    "kotlin": "    val heldCents: kotlin.Long,\nclass Held (\n    val id: kotlin.String\n",
}
BAD = [
    ("typescript", "            held_cents: string;\n"),
    ("typescript", "            price: Record<string, never>;\n"),
    ("typescript", "            price?: any;\n"),
    ("typescript", "            prices: any[];\n"),
    ("typescript", "            prices: Array<any>;\n"),
    ("typescript", "                deeper: { price: string | any };\n"),
    ("python", "    held_cents: StrictStr\n"),
    ("python", "    __properties: ClassVar[List[str]] = []\n"),
    ("python", "    price: Optional[Any] = None\n"),
    ("python", "    prices: List[Any]\n"),
    ("java", "  private BigDecimal heldCents;\n"),
    ("java", "  private Object price;\n"),
    ("java", "  private List<Object> prices = new ArrayList<>();\n"),
    ("java", "  private Map<String, Object> prices;\n"),
    ("kotlin", "    val heldCents: java.math.BigDecimal,\n"),
    ("kotlin", "class Price ()\n"),
    ("kotlin", "    val prices: kotlin.collections.Map<kotlin.String, kotlin.Any>\n"),
]


@pytest.mark.parametrize("language", list(GOOD))
def test_what_is_whole_is_no_finding(language: str) -> None:
    amounts, faults = amounts_and_faults(language, GOOD[language])

    assert amounts > 0
    assert faults == []


@pytest.mark.parametrize(("language", "line"), BAD)
def test_what_was_lost_is_a_finding(language: str, line: str) -> None:
    _, faults = amounts_and_faults(language, line)

    assert len(faults) == 1
