from __future__ import annotations

import logging

import pytest

from heliograph.agent.condition import Condition


def test_a_failure_is_logged_when_it_begins_changes_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="heliograph.agent")
    condition = Condition("publishing")
    condition.succeeded()
    for reason in ("refused", "refused", "refused", "timed out", "timed out"):
        condition.failed(reason)
    for _ in range(3):
        condition.succeeded()
    condition.failed("refused")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "publishing: refused"),
        ("WARNING", "publishing: timed out"),
        ("INFO", "publishing: well again"),
        ("WARNING", "publishing: refused"),
    ]
