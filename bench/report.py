"""What a run found: figures with their goals, and rows that were counted; a table and JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.measure import Goal, Spread, ratios


class CountsDiffer(Exception):
    """Something was lost or done twice: then no figure of the part means anything."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is that of each repetition to the baseline next to it, not of the two medians."""

    what: str
    unit: str
    ours: Spread
    baseline: Spread | None = None
    ratio: Spread | None = None
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """None: there is no goal."""
        if self.goal is None:
            return None
        return self.goal.is_met((self.ratio or self.ours).median)


@dataclass(slots=True)
class Part:
    """One letter of the bench."""

    letter: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failure: str | None = None  # why there are no figures, or not all of them

    def compare(
        self,
        what: str,
        unit: str,
        ours: Sequence[float],
        baseline: Sequence[float],
        *,
        goal: Goal | None = None,
    ) -> None:
        mine, bare = Spread.of(ours), Spread.of(baseline)
        self.figures.append(Figure(what, unit, mine, bare, ratios(ours, baseline), goal))

    def state(self, what: str, unit: str, values: Sequence[float]) -> None:
        self.figures.append(Figure(what, unit, Spread.of(values)))

    def same(self, **counts: int) -> None:
        """Raises CountsDiffer unless all of them are equal."""
        self.counts |= counts
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {number}" for name, number in counts.items())
            raise CountsDiffer(f"({self.letter}) {told}")


def show(console: Console, parts: Sequence[Part]) -> None:
    table = Table(title=r"ratios within one run: median \[range] of the repetitions", title_justify="left")
    for name in ("", "what", "ours", "baseline", "ratio", "goal", ""):
        right = name in {"ours", "baseline", "ratio"}
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for part in parts:
        table.add_section()
        for number, figure in enumerate(part.figures):
            table.add_row(f"({part.letter})" if number == 0 else "", *_row(figure))
    console.print(table)
    for part in parts:
        if part.counts:
            counted = " | ".join(f"{name.replace('_', ' ')} {each}" for name, each in part.counts.items())
            console.print(f"({part.letter}) rows: {counted}")
        for note in part.notes:
            console.print(f"({part.letter}) {note}")
        if part.failure is not None:
            console.print(f"[red]({part.letter}) failed: {escape(part.failure)}[/red]")
    spent = sum(part.seconds for part in parts)
    console.print(f"measured in {spent:.0f} s: " + ", ".join(f"{p.letter} {p.seconds:.0f}" for p in parts))


def write(path: Path, parts: Sequence[Part]) -> None:
    """The same as JSON: one object per part."""
    content = {"parts": [_plain(part) for part in parts]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


_BEGIN: Final = "<!-- figures: begin -->"
_END: Final = "<!-- figures: end -->"


def document(path: Path, parts: Sequence[Part], *, machine: str, left_out: Sequence[str]) -> None:
    """Puts the figures into a page, between its two marks. Raises ValueError where they are missing."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for figures")
    lines = [
        machine,
        "",
        "| | what | ours | baseline | ratio [range] | goal | |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for part in parts:
        for number, figure in enumerate(part.figures):
            cells = (f"({part.letter})" if number == 0 else "", *_row(figure))
            lines.append(f"| {' | '.join(_plain_text(each) for each in cells)} |")
    lines.append("")
    for part in parts:
        if part.counts:
            counted = ", ".join(f"{name.replace('_', ' ')} {each}" for name, each in part.counts.items())
            lines.append(f"- ({part.letter}) rows counted: {counted}")
        if part.failure is not None:
            lines.append(f"- ({part.letter}) failed: {part.failure}")
    if left_out:
        lines.append(f"- not measured in this run: {', '.join(f'({letter})' for letter in left_out)}")
    text = "\n".join(lines)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _plain_text(cell: str) -> str:
    for colour in ("green", "red"):
        cell = cell.replace(f"[{colour}]", "").replace(f"[/{colour}]", "")
    return cell


def _row(figure: Figure) -> tuple[str, ...]:
    baseline = "" if figure.baseline is None else f"{_number(figure.baseline.median)} {figure.unit}"
    ratio = ""
    if figure.ratio is not None:
        ratio = f"{figure.ratio.median:.2f} [{figure.ratio.low:.2f}-{figure.ratio.high:.2f}]"
    spread = figure.ours
    ours = f"{_number(spread.median)} {figure.unit}"
    if figure.ratio is None and spread.repetitions > 1:
        ours += f" [{_number(spread.low)}-{_number(spread.high)}]"
    verdict = {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[figure.met]
    return figure.what, ours, baseline, ratio, str(figure.goal or ""), verdict


_WHOLE_FROM = 100


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.3g}"


def _plain(part: Part) -> dict[str, Any]:
    figures = []
    for figure in part.figures:
        plain: dict[str, Any] = {"what": figure.what, "unit": figure.unit, "ours": figure.ours._asdict()}
        if figure.baseline is not None and figure.ratio is not None:
            plain |= {"baseline": figure.baseline._asdict(), "ratio": figure.ratio._asdict()}
        if figure.goal is not None:
            plain |= {"goal": asdict(figure.goal), "met": figure.met}
        figures.append(plain)
    return {
        "part": part.letter,
        "title": part.title,
        "figures": figures,
        "rows": part.counts,
        "notes": part.notes,
        "seconds": round(part.seconds, 1),
        "failure": part.failure,
    }
