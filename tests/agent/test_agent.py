"""The agent's loop, among a fake session, server and clock: nothing here sleeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from heliograph.agent.errors import AddressError, EnrolmentError
from heliograph.client.errors import ApplicationError, ConnectionLost, RequestTimeout
from tests.agent.fakes import Machine, until_idle

Start = Callable[[Machine], Awaitable[None]]


async def test_listens_for_configurations_before_it_fetches_one_and_then_publishes_at_once(
    start: Start,
) -> None:
    machine = Machine()
    await start(machine)
    assert machine.journal == ["subscribe clientconfig.web-1", "fetch 192.0.2.7", "publish"]
    assert machine.moments == [0.0]


async def test_a_sample_says_who_when_and_what(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"id": 3, "client": "web-1", "ip": "192.0.2.7", "frequency": 2, "later": [1]}
    await start(machine)
    (sample,) = machine.samples
    assert sample.pop("version")
    assert sample == {
        "client": "web-1",
        "ip": "192.0.2.7",
        "name": "web-1.example.org",
        "sequence": 1,
        "time_s": 1_763_891_000.0,
        "interval_s": 2,
        "uptime_s": 5.0,
        "cpu_percents": [3.0, 5.1],
        "memory_used_bytes": 1,
        "memory_total_bytes": 2,
        "disk_usages": [],
    }


async def test_publishes_every_frequency_seconds_without_drift_though_sampling_takes_time(
    start: Start,
) -> None:
    machine = Machine()
    machine.server.answer = {"frequency": 5}

    async def take_a_while() -> None:
        machine.clock.now_s += 0.3

    machine.collectors[0].meanwhile = take_a_while
    await start(machine)
    await machine.clock.pass_time(15.5)
    assert machine.moments == [0.3, 5.3, 10.3, 15.3]
    assert [sample["sequence"] for sample in machine.samples] == [1, 2, 3, 4]


async def test_after_a_suspend_there_is_one_sample_not_a_burst(start: Start) -> None:
    machine = Machine()
    await start(machine)
    await machine.clock.jump(600.4)
    assert machine.moments == [0.0, 600.4]
    await machine.clock.pass_time(2)
    assert machine.moments == [0.0, 600.4, 601.0, 602.0]


async def test_a_new_frequency_is_obeyed_at_once(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"frequency": 3600}
    await start(machine)
    await machine.clock.pass_time(10)
    await machine.configure({"frequency": 2})
    await machine.clock.pass_time(4)
    assert machine.moments == [0.0, 10.0, 12.0, 14.0]
    assert machine.samples[-1]["interval_s"] == 2


async def test_a_hidden_group_is_gone_from_the_next_sample_which_comes_at_once(start: Start) -> None:
    machine = Machine()
    await start(machine)
    await machine.clock.pass_time(0.5)
    await machine.configure({"show_memory": False})
    assert machine.moments == [0.0, 0.5]
    assert "memory_used_bytes" in machine.samples[0]
    assert "memory_used_bytes" not in machine.samples[1]
    assert machine.samples[1]["cpu_percents"] == [3.0, 5.1]


async def test_a_configuration_that_changes_nothing_causes_no_sample(start: Start) -> None:
    machine = Machine()
    await start(machine)
    await machine.clock.pass_time(0.5)
    await machine.configure({"frequency": 1, "show_disk": True})
    assert machine.moments == [0.0]


async def test_a_sample_taken_under_an_old_configuration_is_not_published(start: Start) -> None:
    machine = Machine()
    await start(machine)
    memory = machine.collectors[2]

    async def hide_memory_meanwhile() -> None:
        memory.meanwhile = None
        machine.session.configure({"show_memory": False})

    memory.meanwhile = hide_memory_meanwhile
    await machine.clock.pass_time(1.1)
    assert machine.moments == [0.0, 1.1]
    assert "memory_used_bytes" not in machine.samples[1]


async def test_a_flood_of_configurations_makes_ten_samples_a_second_at_most(start: Start) -> None:
    machine = Machine()
    await start(machine)
    for step in range(100):
        await machine.configure({"show_disk": bool(step % 2)})
        await machine.clock.pass_time(0.01)
    gaps = [later - earlier for earlier, later in pairwise(machine.moments)]
    assert 8 <= len(gaps) <= 10
    assert min(gaps) >= 0.0999


async def test_a_disabled_machine_says_nothing_listens_and_comes_back_at_once(start: Start) -> None:
    machine = Machine()
    await start(machine)
    await machine.clock.pass_time(0.5)
    await machine.configure({"disabled": True})
    await machine.clock.pass_time(100)
    assert machine.moments == [0.0]
    await machine.configure({"disabled": False})
    assert machine.moments == [0.0, 100.5]


async def test_a_machine_disabled_on_the_server_never_shows_up(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"disabled": True}
    await start(machine)
    await machine.clock.pass_time(100)
    assert machine.samples == []


async def test_a_deleted_machine_is_silent_until_it_joins_again(start: Start) -> None:
    machine = Machine()
    await start(machine)
    await machine.configure({"client": "web-1", "disabled": True, "deleted": True})
    await machine.clock.pass_time(100)
    assert machine.moments == [0.0]
    machine.server.answer = {"disabled": False}
    await machine.join_again()
    assert machine.server.fetches == 2
    assert machine.moments == [0.0, 100.0]


async def test_a_machine_deleted_while_enrolment_is_retried_is_not_created_again(start: Start) -> None:
    machine = Machine()
    machine.server.answer = EnrolmentError("the server answered 503")
    await start(machine)
    await machine.configure({"disabled": True, "deleted": True})
    await machine.clock.pass_time(1000)
    assert machine.server.fetches == 1


async def test_a_deleted_machine_stays_silent_when_the_server_refuses_it_at_the_next_join(
    start: Start,
) -> None:
    machine = Machine()
    await start(machine)
    await machine.configure({"disabled": True, "deleted": True})
    machine.server.answer = EnrolmentError("the server answered 503")
    await machine.join_again()
    await machine.clock.pass_time(5)
    assert machine.moments == [0.0]
    assert machine.server.fetches > 2


async def test_a_refused_fetch_leaves_the_defaults_and_is_tried_again_ever_more_slowly(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    machine.server.answer = EnrolmentError("the server answered 503")
    await start(machine)
    assert machine.moments == [0.0]
    await machine.clock.pass_time(6.5)
    assert machine.moments == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert machine.server.fetches == 3  # at 0, 1 and 3 seconds
    assert [record.message for record in caplog.records if "503" in record.message] == [
        "enrolment at http://192.0.2.1:8080/clients/: EnrolmentError: the server answered 503"
    ]
    machine.server.answer = {"frequency": 60}
    await machine.clock.pass_time(0.5)
    assert machine.server.fetches == 4
    assert machine.agent.configuration.frequency == 60


async def test_a_server_that_does_not_answer_delays_the_first_sample_by_two_seconds_only(
    start: Start,
) -> None:
    machine = Machine()
    machine.server.hold = asyncio.Event()
    await start(machine)
    assert machine.samples == []
    await machine.clock.pass_time(3)
    assert machine.moments == [2.0, 3.0]
    machine.server.hold.set()


async def test_a_configuration_that_arrives_during_the_fetch_wins_over_the_fetched_one(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"frequency": 10, "show_cpus": False}
    machine.server.hold = asyncio.Event()
    await start(machine)
    await machine.configure({"frequency": 20, "show_cpus": True})
    machine.server.hold.set()
    await until_idle()
    assert machine.agent.configuration.frequency == 20
    assert machine.agent.configuration.show_cpus is True
    assert machine.server.fetches == 1


async def test_an_event_that_is_no_configuration_does_not_win_over_the_fetched_one(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"frequency": 10}
    machine.server.hold = asyncio.Event()
    await start(machine)
    await machine.configure()
    await machine.configure("disabled")
    await machine.configure([{"frequency": 20}])
    machine.server.hold.set()
    await until_idle()
    assert machine.agent.configuration.frequency == 10


async def test_wrong_values_keep_the_old_ones_and_are_logged_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    await start(machine)
    for _ in range(3):
        await machine.configure({"frequency": 0, "show_disk": False, "show_cpus": "no"})
    assert machine.agent.configuration.frequency == 1
    assert machine.agent.configuration.show_cpus is True
    assert machine.agent.configuration.show_disk is False
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "configuration: show_cpus must be true or false, not a value of type str; "
        "frequency must be whole seconds from 1 to 3600, not 0"
    ]


async def test_the_hosts_own_minimum_interval_holds_against_any_configuration(start: Start) -> None:
    machine = Machine(min_interval_s=10)
    machine.server.answer = {"frequency": 1}
    await start(machine)
    await machine.clock.pass_time(20)
    assert machine.moments == [0.0, 10.0, 20.0]
    assert machine.samples[0]["interval_s"] == 10


async def test_joining_again_publishes_at_once_and_fetches_the_configuration_anew(start: Start) -> None:
    machine = Machine()
    machine.server.answer = {"frequency": 60}
    await start(machine)
    await machine.clock.pass_time(7)
    machine.server.answer = {"frequency": 30}
    machine.server.ip = "192.0.2.8"
    await machine.join_again()
    assert machine.journal[-2:] == ["fetch 192.0.2.8", "publish"]
    assert machine.agent.configuration.frequency == 30


async def test_a_publication_that_fails_is_logged_once_and_the_next_one_tried(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="heliograph.agent")
    machine = Machine()
    machine.session.publish_failure = ConnectionError("not joined")
    await start(machine)
    await machine.clock.pass_time(5)
    machine.session.publish_failure = None
    await machine.clock.pass_time(1)
    assert machine.moments == [6.0]
    assert machine.samples[0]["sequence"] == 7
    assert [record.message for record in caplog.records if record.message.startswith("publishing")] == [
        "publishing: ConnectionError: not joined",
        "publishing: well again",
    ]


async def test_a_publication_that_hangs_is_given_up_and_the_next_one_tried(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(publish_timeout_s=0)
    machine.session.publish_hangs = True
    await start(machine)
    await machine.clock.pass_time(3)
    assert [record.message for record in caplog.records] == ["publishing: TimeoutError"]
    machine.session.publish_hangs = False
    await machine.clock.pass_time(1)
    assert machine.moments == [4.0]


async def test_without_a_way_to_know_its_address_a_machine_is_shown_all_the_same(start: Start) -> None:
    machine = Machine()
    machine.server.ip = AddressError("no way towards 192.0.2.1")
    await start(machine)
    assert "ip" not in machine.samples[0]
    assert machine.server.fetches == 0
    machine.server.ip = "192.0.2.7"
    await machine.clock.pass_time(2)
    assert machine.server.fetches == 1
    assert machine.samples[-1]["ip"] == "192.0.2.7"


async def test_an_address_that_cannot_be_looked_up_again_stays_the_last_known(start: Start) -> None:
    machine = Machine()
    await start(machine)
    machine.server.ip = AddressError("no way towards 192.0.2.1")
    await machine.join_again()
    assert machine.server.fetches == 2
    assert machine.samples[-1]["ip"] == "192.0.2.7"


async def test_one_failing_collector_hides_nothing_else_and_is_told_in_the_sample(start: Start) -> None:
    machine = Machine()
    machine.collectors[3].error = PermissionError(13, "Permission denied")
    await start(machine)
    (sample,) = machine.samples
    assert sample["errors"] == {"disks": "PermissionError: [Errno 13] Permission denied"}
    assert "disk_usages" not in sample
    assert sample["cpu_percents"] == [3.0, 5.1]
    assert sample["memory_total_bytes"] == 2


async def test_a_router_that_goes_away_while_the_agent_subscribes_is_waited_for(start: Start) -> None:
    machine = Machine()
    machine.session.subscribe_failures = [ConnectionLost("no session"), RequestTimeout("no answer")]
    await start(machine)
    assert machine.journal == [*["subscribe clientconfig.web-1"] * 3, "fetch 192.0.2.7", "publish"]


async def test_a_router_that_does_not_let_the_agent_listen_ends_it() -> None:
    machine = Machine()
    machine.session.subscribe_failures = [ApplicationError("wamp.error.not_authorized")]
    with pytest.raises(ApplicationError, match="not_authorized"):
        await machine.agent.run()
    assert machine.samples == []
