"""What the dashboard shows, in a real browser under the strict content policy it is served with."""

import json

import pytest
from playwright.sync_api import Locator, Page, expect

SAMPLE = {
    "client": "web-1",
    "ip": "192.0.2.1",
    "name": "web-1.example.org",
    "interval_s": 1,
    "uptime_s": 93_600,
    "cpu_percents": [10.0, 30.0],
    "load_averages": [0.5, 0.25, 0.125],
    "memory_used_bytes": 2**30,
    "memory_total_bytes": 4 * 2**30,
    "swap_used_bytes": 0,
    "swap_total_bytes": 2**30,
    "disk_usages": [{"mountpoint": "/", "used_bytes": 30 * 2**30, "total_bytes": 120 * 2**30}],
}


def publish(page: Page, payload: object) -> None:
    page.evaluate("payload => demo.sample(payload)", payload)


def publish_json(page: Page, text: str) -> None:
    """Publish what only the browser's own JSON reader makes of a text (huge numbers, special keys)."""
    page.evaluate("text => demo.sample(JSON.parse(text))", text)


def configure(page: Page, key: str, payload: object) -> None:
    page.evaluate("([key, payload]) => demo.configuration(key, payload)", [key, payload])


def card(page: Page, key: str) -> Locator:
    return page.locator(f'.card[data-client="{key}"]')


def value(within: Locator, name: str) -> Locator:
    return within.locator(f'[data-value="{name}"]')


def test_machines_of_the_list_wait_and_then_show_their_values(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    web = card(page, "web-1")
    expect(web).to_have_attribute("data-state", "waiting")
    expect(web).to_contain_text("Waiting for the first sample")

    publish(page, SAMPLE)

    expect(web).to_have_attribute("data-state", "live")
    expect(value(web, "cpu-percent")).to_have_text("20.0")
    expect(value(web, "core-percent")).to_have_text(["10.0 %", "30.0 %"])
    expect(value(web, "memory-percent")).to_have_text("25.0")
    expect(value(web, "memory-used")).to_have_text("1.00\u00a0GiB")
    expect(value(web, "disk-percent")).to_have_text("25.0 %")
    expect(value(web, "uptime")).to_have_text("1\u00a0d 2\u00a0h")
    expect(value(web, "age")).to_have_text("now")
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")


def test_the_text_of_the_tutorial_client_is_shown_with_bars(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/0?still")

    publish(
        page,
        {
            "ip": "192.0.2.50",
            "name": "old",
            "cpus": ["10.0%", "20.0%"],
            "memory": "1.00GiB/2.00GiB (50%)",
            "disks": {"/": "3.00GiB/4.00GiB (75%)"},
        },
    )

    old = card(page, "192.0.2.50")
    expect(value(old, "cpus-text")).to_have_text("10.0% 20.0%")
    expect(value(old, "cpu-percent")).to_have_text("15.0")
    expect(value(old, "memory-text")).to_have_text("1.00GiB/2.00GiB (50%)")
    expect(value(old, "disk-text")).to_have_text("3.00GiB/4.00GiB (75%)")
    expect(old.locator('[data-group="disks"] .bar')).to_have_attribute("data-level", "high")


def test_a_configuration_shows_before_the_next_sample(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    web = card(page, "web-1")
    publish(page, SAMPLE)
    expect(web.locator('[data-group="memory"]')).to_be_visible()

    configure(page, "web-1", {"show_memory": False, "frequency": 5})

    expect(web.locator('[data-group="memory"]')).to_have_count(0)
    expect(value(web, "interval")).to_have_text("5")
    expect(value(web, "hidden")).to_have_text("hidden: memory")
    expect(value(web, "change")).to_contain_text("every 5 s, memory hidden: sent")

    without = {key: item for key, item in SAMPLE.items() if not key.startswith(("memory", "swap"))}
    publish(page, without | {"interval_s": 5})

    expect(value(web, "change")).to_contain_text("memory hidden: obeyed")


def test_disabled_and_deleted_machines_go_and_come_back(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    web = card(page, "web-1")

    configure(page, "web-1", {"disabled": True})
    expect(web).to_have_count(0)
    publish(page, SAMPLE)
    configure(page, "web-1", {"disabled": False})
    expect(web).to_have_count(1)
    configure(page, "web-1", {"disabled": True, "deleted": True})
    expect(web).to_have_count(0)

    expect(card(page, "db-1")).to_have_count(1)


def test_a_lost_feed_is_said_and_shown_until_it_is_back(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    publish(page, SAMPLE)

    page.evaluate("demo.lose()")

    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "lost")
    expect(page.locator("[data-connection]")).to_contain_text("retrying in")
    expect(page.locator(".banner")).to_contain_text("Live updates interrupted")
    expect(page.get_by_role("status")).to_contain_text("interrupted")
    page.get_by_role("button", name="Retry now").click()
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    expect(page.locator(".banner")).to_have_count(0)


def test_values_age_when_samples_stop(page: Page, demonstration: str) -> None:
    page.clock.install()
    page.goto(f"{demonstration}/2?still")
    web = card(page, "web-1")
    page.clock.run_for(2000)
    publish(page, SAMPLE)
    page.clock.run_for(1500)
    expect(web).to_have_attribute("data-state", "live")

    page.clock.run_for(4000)
    expect(web).to_have_attribute("data-state", "late")
    page.clock.run_for(4000)
    expect(web).to_have_attribute("data-state", "stale")

    expect(web).to_contain_text("These values are old")


def test_the_first_machine_replaces_the_instructions(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/0?still")
    host = demonstration.removeprefix("http://")
    command = page.locator('[data-value="command"]')
    expect(command).to_have_text(f"heliograph agent --url ws://{host}/ws")

    publish(page, SAMPLE)

    expect(card(page, "web-1")).to_be_visible()
    expect(command).to_have_count(0)


HOSTILE = [
    "null",
    '"text"',
    "[]",
    '{"client": "<script>alert(1)</script>"}',
    '{"ip": "x onerror=alert(1)"}',
    '{"client": "web-1", "cpu_percents": [1e999]}',
    '{"client": "web-1", "cpu_percents": {"length": 9}}',
    '{"client": "web-1", "memory_used_bytes": -1, "memory_total_bytes": "much"}',
    '{"client": "web-1", "disk_usages": [{"__proto__": {"mountpoint": "/"}}]}',
    '{"client": "web-1", "errors": [1]}',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_malformed_sample_is_counted_and_breaks_nothing(page: Page, demonstration: str, text: str) -> None:
    page.goto(f"{demonstration}/2?still")

    publish_json(page, text)

    expect(page.locator('[data-value="refused"]')).to_contain_text("1\u00a0malformed sample.")
    publish(page, SAMPLE)
    expect(value(card(page, "web-1"), "cpu-percent")).to_have_text("20.0")
    expect(page.locator(".card")).to_have_count(2)


def test_text_of_machines_is_never_html(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    attack = '<img src="/x" onerror="alert(1)"><b>bold</b>'

    publish(
        page,
        {
            "ip": "192.0.2.66",
            "name": attack,
            "cpus": [attack],
            "memory": attack,
            "disks": {attack: attack, "__proto__": "1%"},
            "errors": {attack: attack},
        },
    )

    hostile = card(page, "192.0.2.66")
    expect(hostile.locator("h2")).to_have_text(attack)
    expect(value(hostile, "memory-text")).to_have_text(attack)
    expect(hostile.locator("img, b, script")).to_have_count(0)


def test_enormous_samples_are_cut_and_said_to_be(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/2?still")
    disks = [{"mountpoint": f"/{number}", "used_bytes": 1, "total_bytes": 2} for number in range(3000)]

    publish_json(
        page, json.dumps(SAMPLE | {"cpu_percents": [50] * 5000, "disk_usages": disks, "name": "n" * 500_000})
    )

    web = card(page, "web-1")
    expect(value(web, "core-percent")).to_have_count(256)
    expect(web).to_contain_text("and 4,744\u00a0cores not shown")
    expect(web).to_contain_text("and 2,936\u00a0disks not shown")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_the_page_fits_its_window(page: Page, demonstration: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{demonstration}/12")
    expect(value(card(page, "web-1"), "cpu-percent")).not_to_have_text("–")

    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_many_machines_can_be_filtered(page: Page, demonstration: str) -> None:
    page.goto(f"{demonstration}/12?still")
    search = page.get_by_role("searchbox")

    page.keyboard.press("/")
    expect(search).to_be_focused()
    search.fill("db")
    expect(page.locator(".card")).to_have_count(3)
    search.fill("nothing like it")
    expect(page.locator(".no-match")).to_contain_text("No machine matches")
    page.get_by_role("button", name="Clear the filter").click()

    expect(page.locator(".card")).to_have_count(11)


def test_the_chosen_colours_are_kept(page: Page, demonstration: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{demonstration}/2?still")
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.locator("[data-theme-choice]").click()
    page.locator("[data-theme-choice]").click()
    page.reload()

    expect(page.locator("[data-theme-choice]")).to_have_attribute("data-theme-choice", "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page: Page, demonstration: str, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.goto(f"{demonstration}/2?still")
    publish(page, SAMPLE)
    expect(card(page, "web-1")).to_have_attribute("data-state", "live")

    ratios = page.evaluate(CONTRASTS)

    assert len(ratios) == 17
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < (3 if pair in SPARKLINES else 4.5)} == {}


# Lines and shapes need 3:1, text 4.5:1 (WCAG 1.4.11 and 1.4.3).
SPARKLINES = {"--sun on --surface", "--memory on --surface"}


CONTRASTS = """() => {
  const channels = name => {
    const probe = document.createElement('i');
    document.body.append(probe);
    probe.style.color = `var(${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
    probe.remove();
    return [r, g, b];
  };
  const luminance = name => {
    const [r, g, b] = channels(name).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratios = {};
  const check = (text, behind) => {
    const [low, high] = [luminance(text), luminance(behind)].sort((a, b) => a - b);
    ratios[`${text} on ${behind}`] = (high + 0.05) / (low + 0.05);
  };
  for (const text of ['--text', '--text-quiet', '--sun-text', '--warn', '--bad']) {
    check(text, '--surface');
    check(text, '--ground');
  }
  check('--text', '--surface-sunk');
  check('--text-quiet', '--surface-sunk');
  check('--text', '--bad-wash');
  check('--sun-text', '--sun-wash');
  check('--sun', '--surface');
  check('--memory', '--surface');
  check('--text-quiet', '--ground-glow');
  return ratios;
}"""
