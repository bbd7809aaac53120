"""The pytest plugin, in runs of pytest of its own."""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def without_our_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this run's settings out of the runs inside it."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)


def test_unused_it_imports_nothing_but_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            loaded = sorted(name for name in sys.modules if name.partition(".")[0] == "heliograph")
            assert loaded == ["heliograph", "heliograph.testing", "heliograph.testing.plugin"]
            assert not {"msgspec", "picows", "uvloop"} & sys.modules.keys()
        """
    )

    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)


def test_a_failing_test_shows_the_routers_log(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it_fails(heliograph_router):
            assert heliograph_router.realm == "another"

        def test_it_passes(heliograph_router):
            assert heliograph_router.realm == "realm1"
        """
    )

    result = pytester.runpytest_subprocess("-rA", timeout=60)

    result.assert_outcomes(passed=1, failed=1)
    shown = result.stdout.str()
    assert shown.count("- heliograph router log -") == 1
    assert shown.count("Heliograph ready: http://127.0.0.1:") == 1


def test_a_router_that_dies_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import signal
        def test_it_kills_the_router(heliograph_router):
            os.kill(heliograph_router.pid, signal.SIGKILL)
            os.waitid(os.P_PID, heliograph_router.pid, os.WEXITED | os.WNOWAIT)
        """
    )

    result = pytester.runpytest_subprocess(timeout=60)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*RouterFailed: the router had ended by itself with exit code -9.*"])


def test_a_wrong_configuration_is_told_before_anything_starts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def heliograph_configuration():
            return {"version": 2, "workers": [{"type": "router", "realm": []}]}

        def test_it_never_runs(heliograph_router):
            raise AssertionError
        """
    )

    result = pytester.runpytest_subprocess(timeout=60)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ConfigError:*", "*realm*"])


@pytest.mark.parametrize(("scope", "routers"), [("function", 4), ("module", 2), ("session", 1)])
def test_as_many_tests_share_a_router_as_the_setting_says(
    pytester: pytest.Pytester, scope: str, routers: int
) -> None:
    pytester.makeini(f"[pytest]\nheliograph_router_scope = {scope}\n")
    tests = "\n".join(
        f"def test_{number}(heliograph_router):\n    print('pid', heliograph_router.pid)\n"
        for number in range(2)
    )
    pytester.makepyfile(test_one=tests, test_two=tests)

    result = pytester.runpytest_subprocess("-s", timeout=60)

    result.assert_outcomes(passed=4)
    told = {line.partition("pid ")[2] for line in result.outlines if "pid " in line}
    assert len(told) == routers


def test_an_unknown_scope_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nheliograph_router_scope = forever\n")
    pytester.makepyfile("def test_it(heliograph_router): ...")

    result = pytester.runpytest_subprocess(timeout=60)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*heliograph_router_scope must be one of function, class,*got 'forever'*"])
