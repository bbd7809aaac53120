"""What is made of the rounds: medians, ratios within a round, and what a server at its limit would do."""

import pytest

from benchmarks import tables, targets
from benchmarks.figures import Measurement, Result, Round, Spread, medians, over, rate_at_limit


def rates(**peers: float) -> Round:
    """A round of one case, in which every peer was at its limit."""
    return {
        name: {"": {"rate": rate, "server_cpu_share": 1.0, "server_cores": 1}} for name, rate in peers.items()
    }


def ratio(measured: Round) -> float:
    return measured["heliograph"][""]["rate"] / measured["nchan"][""]["rate"]


# The machine was half as fast in the second round, and in the third from nchan's turn on.
WANDERING = [rates(heliograph=40, nchan=10), rates(heliograph=20, nchan=5), rates(heliograph=40, nchan=5)]


class TestRounds:
    def test_ratios_are_taken_within_a_round(self) -> None:
        assert over(WANDERING, ratio) == Spread(4, 4, 8)
        shown = medians(WANDERING)
        assert shown["heliograph"][""]["rate"] / shown["nchan"][""]["rate"] == 8

    def test_a_round_in_which_a_peer_failed_counts_for_the_others_only(self) -> None:
        result = [rates(heliograph=40, nchan=10), rates(heliograph=90)]

        assert over(result, ratio) == Spread(4, 4, 4)
        assert medians(result)["heliograph"][""]["rate"] == 65

    def test_what_no_round_has_is_not_there(self) -> None:
        assert over([rates(heliograph=40)], ratio) is None

    def test_a_table_shows_the_spread_of_the_ratios(self) -> None:
        table = tables.comparison(WANDERING, "Server", (("rate", "rate", ".0f"),), ("rate",))

        assert "| 5 | 4.00 (4.00–8.00) x |" in table

    def test_a_spread_that_cannot_be_seen_is_not_shown(self) -> None:
        assert Spread(1.0, 0.999, 1.001).text("{:.2f}".format) == "1.00"


class TestLimit:
    @pytest.mark.parametrize(
        ("share", "expected"),
        [
            pytest.param(0.95, 100, id="at its limit"),
            pytest.param(0.5, 200, id="half idle"),
            pytest.param(1.6, 100, id="more than one process"),
        ],
    )
    def test_a_server_that_is_not_at_its_limit_could_do_more(self, share: float, expected: float) -> None:
        figures: Measurement = {"rate": 100, "server_cpu_share": share}

        assert rate_at_limit(figures, "rate") == pytest.approx(expected)


def posting(posts_per_s: float, share: float) -> dict[str, Measurement]:
    return {
        "one event a body": {"events_per_s": posts_per_s, "server_cpu_share": share, "server_cores": 1},
    }


class TestTargets:
    def test_one_without_figures_is_not_measured_and_one_with_figures_is_judged(self) -> None:
        fanout: Result = [
            {
                "heliograph": {"1 in flight": {"server_us_per_delivery": 5.0}},
                "floor": {"1 in flight": {"server_us_per_delivery": 4.0}},
                "nchan": {"1 in flight": {"server_us_per_delivery": 4.5}},
            }
        ]

        rows = targets.table({"fanout": fanout}).splitlines()

        assert any("1.25 × the C floor" in row and row.endswith("| reached |") for row in rows)
        assert any("1.11 × nchan" in row and "**not reached**" in row for row in rows)
        assert any("× Crossbar" in row and "not measured" in row for row in rows)

    def test_rates_of_servers_at_their_limit_are_compared_as_they_are(self) -> None:
        table = targets.table({"post": [{"heliograph": posting(900, 0.98), "nchan": posting(1000, 0.92)}]})

        assert "posts/s: 0.90 × nchan |" in table
        assert targets.NOTE not in table

    def test_where_the_load_was_the_limit_the_cpu_of_an_event_counts_and_the_row_says_so(self) -> None:
        table = targets.table({"post": [{"heliograph": posting(900, 0.98), "nchan": posting(1000, 0.5)}]})

        assert f"posts/s: 0.45 × nchan{targets.BY_CPU} |" in table
        assert table.endswith(targets.NOTE)

    def test_rates_are_compared_as_they_are_where_a_server_has_several_cores(self) -> None:
        figures = {"calls_per_s": 300.0, "server_cpu_share": 0.5, "server_cores": 1}
        result = [
            {
                "heliograph": {"64 in flight": figures},
                "nexus": {"64 in flight": {"calls_per_s": 100.0, "server_cpu_share": 1.2, "server_cores": 2}},
            }
        ]

        assert "calls/s: 3.00 × nexus on two cores | ≥ 2 | reached |" in targets.table({"rpc": result})

    def test_a_slow_reader_is_judged_against_the_noise_of_runs_in_which_all_read(self) -> None:
        cases = {
            "all read": {"p99_ms": 10.0, "most_memory_mib": 30.0},
            "one has stopped reading": {"p99_ms": 22.0, "most_memory_mib": 35.0},
            "all read again": {"p99_ms": 20.0, "most_memory_mib": 30.0},
        }

        table = targets.table({"slow-reader": [{"heliograph": cases}]})

        assert "others' p99: 1.10 × where all read | ≤ 1.2 | reached |" in table
        assert "memory: 5.00 MiB more | ≤ 8 | reached |" in table
