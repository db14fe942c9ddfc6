"""How tests are dealt to the workers: modules as a whole, long ones first, orders of journeys one by one."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

_ONE_BY_ONE: Final = "tests/journeys/test_orders.py::"  # each takes as long as a large module


class SlowFirst:
    """A plugin: what is long and begins last would be waited for by all the other workers."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # stable: else as shuffled

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> "_Scopes":
        return _Scopes(config, log)


class _Scopes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(_ONE_BY_ONE) else str(super()._split_scope(nodeid))
