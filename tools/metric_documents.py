"""`docs/metrics.md`: every metric with its type, labels and meaning."""

from pathlib import Path
from typing import Final

from common.metric_catalogue import METRICS, SERVICE

_HEAD: Final = f"""# Metrics

Written by `make docs` from `common.metric_catalogue`.

API and worker of each service answer `GET /SERVICE/metrics` in the text format of Prometheus: the API
on its internal port (9001), the worker on its own (9000).
Each metric has the label `{SERVICE}` beside its own. Labels hold operation ids, topics, states and codes,
never an id or an input; past 2,000 combinations of one metric, new values are counted as `other`.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def generated(root: Path) -> dict[Path, str]:
    """The document by its path."""
    rows = [
        f"| `{name}` | {metric.type} | {', '.join(f'`{each}`' for each in metric.labels)} | {metric.help} |\n"
        for name, metric in METRICS.items()
    ]
    return {root / "docs/metrics.md": _HEAD + "".join(rows)}
