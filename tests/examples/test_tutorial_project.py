"""The tutorial's project without a router: its site, its configuration, its client's figures."""

import hashlib
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = ROOT.parent / "shared" / "seed" / "Adding-Real-Time-to-Django-Applications.rst"


def test_the_configuration_is_the_original_one_to_the_byte(tutorial: Path) -> None:
    content = (tutorial / ".crossbar" / "config.json").read_bytes()

    assert hashlib.sha256(content).hexdigest() == (
        "799b866ed0896b03788868bdd6fbea35dffc3538ba38a1d7f2e248648a2bdfde"
    )


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the original tutorial's text is not beside this checkout")
def test_the_configuration_stands_so_in_the_original_text(tutorial: Path) -> None:
    blocks = re.findall(r"\.\. code:: javascript\n\n((?:    .*\n|\n)+)", ORIGINAL.read_text())
    (whole,) = [block for block in blocks if '"workers"' in block]

    assert (tutorial / ".crossbar" / "config.json").read_text() == textwrap.dedent(whole).strip("\n") + "\n"


def test_the_site_passes_its_own_tests_with_every_warning_an_error(run: Callable[..., str]) -> None:
    said = run("python", "-W", "error", "manage.py", "test")

    assert re.search(r"Ran \d+ tests.*\n\nOK\n", said), said


def test_the_migrations_cover_the_models(run: Callable[..., str]) -> None:
    assert "No changes detected" in run("python", "manage.py", "makemigrations", "--check", "--dry-run")


def test_each_copy_makes_a_secret_of_its_own_that_only_its_owner_reads(
    run: Callable[..., str], tutorial: Path
) -> None:
    run("python", "manage.py", "check")

    secret = tutorial / "secret_key"
    assert len(secret.read_text()) >= 50
    assert secret.stat().st_mode & 0o077 == 0


def test_the_client_collects_what_it_is_configured_to_show_as_text(run: Callable[..., str]) -> None:
    program = (
        "import client, json; "
        "everything = client.get_stats(client.configuration); "
        "client.update_configuration({'show_cpus': False, 'show_disk': False}); "
        "print(json.dumps([everything, client.get_stats(client.configuration)]))"
    )

    everything, only_memory = json.loads(run("python", "-c", program))

    usage = re.compile(r"\d+\.\d\dGiB/\d+\.\d\dGiB \(\d+\.\d%\)")
    assert everything.keys() == {"cpus", "memory", "disks"}
    assert all(re.fullmatch(r"\d+\.\d%", cpu) for cpu in everything["cpus"])
    assert usage.fullmatch(everything["memory"])
    assert all(usage.fullmatch(disk) for disk in everything["disks"].values())
    assert only_memory.keys() == {"memory"}
