"""The pytest plugin: the fixture `heliograph_router`. It is loaded in every run, so it imports nothing heavy itself."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from heliograph.testing.running_router import RunningRouter

SCOPES = ("function", "class", "module", "package", "session")
SCOPE_SETTING = "heliograph_router_scope"
SECTION = "heliograph router log"
SECTION_LINES = 200


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that says how many tests share a router."""
    parser.addini(
        SCOPE_SETTING,
        f"how many tests share the router of the fixture heliograph_router: {', '.join(SCOPES)}",
        default="function",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a scope that pytest does not know."""
    scope = config.getini(SCOPE_SETTING)
    if scope not in SCOPES:
        raise pytest.UsageError(f"{SCOPE_SETTING} must be one of {', '.join(SCOPES)}, got {scope!r}")


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    return config.getini(SCOPE_SETTING)


@pytest.fixture(scope=_scope)
def heliograph_configuration() -> Any:
    """The configuration of the router for tests; override it with a dictionary or the path of a file."""
    return None


@pytest.fixture(scope=_scope)
def heliograph_router(heliograph_configuration: Any) -> Iterator[RunningRouter]:
    """A real router on a free port of loopback, in a process of its own."""
    from heliograph.testing.running_router import router

    with router(heliograph_configuration) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the router's log beside a test that failed with it."""
    report = yield
    if report.failed:
        running = cast("dict[str, Any]", getattr(item, "funcargs", {})).get("heliograph_router")
        if running is not None:
            lines = running.log.splitlines(keepends=True)[-SECTION_LINES:]
            report.sections.append((SECTION, "".join(lines)))
    return report
