"""How many tests ran on a real Kafka: a line at the end of every run; in CI a skipped one fails it."""

import os
from dataclasses import dataclass

import pytest

_IN_CI = os.environ.get("CI") == "true"  # noqa: TID251


@dataclass(slots=True, eq=False)  # pytest keeps its plugins in sets
class KafkaCount:
    """A plugin of one run; with xdist the reports of all workers arrive in the process that prints."""

    run: int = 0
    skipped: int = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "kafka" not in report.keywords:
            return
        if report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.run += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if _IN_CI and self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(f"kafka tests run {self.run}, skipped {self.skipped}")
