"""The tutorial's own configuration, byte for byte: Crossbar.io of today refuses it, here it starts."""

import os
from pathlib import Path

import pytest

from heliograph.config import load
from heliograph.http.options import PublisherOptions, StaticOptions, WsgiOptions
from heliograph.routing.options import AllowedActions, PermissionRule
from heliograph.transports.options import WebSocketPathOptions

COPY = Path(__file__).parent / "data" / "tutorial-config.json"
WRITTEN = "Adding-Real-Time-to-Django-Applications.rst"


@pytest.fixture
def node_directory(tmp_path: Path) -> Path:
    """The tutorial's layout: a project with its static files, and the node directory in it."""
    (tmp_path / "django_project").mkdir()
    (tmp_path / "django_project" / "__init__.py").touch()
    (tmp_path / "django_project" / "wsgi.py").touch()
    (tmp_path / "static").mkdir()
    directory = tmp_path / ".crossbar"
    directory.mkdir()
    return directory


def test_the_tutorials_configuration_loads_with_a_warning_for_each_old_form(node_directory: Path) -> None:
    file = node_directory / "config.json"
    file.write_bytes(COPY.read_bytes())

    loaded = load(file, node_directory=node_directory)

    quiet = [str(problem) for problem in loaded.warnings if not problem.loud]
    assert quiet == [
        'version: warning: is missing, which means version 1; read as version 2: write "version": 2',
        'workers[0].realms[0].roles[0].permissions[0].uri: warning: "*" is an old form: '
        'write "uri": "", "match": "prefix"',
        'workers[0].transports[0].paths.notify.type: warning: "pusher" is an old name: write "type": "publisher"',
        "workers[0].transports[0].paths.ws.debug: warning: ignored: an old form without effect; leave it out "
        "(`heliograph start --loglevel debug` logs more)",
    ]


def test_the_tutorials_open_role_is_warned_of_loudly(node_directory: Path) -> None:
    loud = [problem for problem in load(COPY, node_directory=node_directory).warnings if problem.loud]

    assert [problem.where for problem in loud] == ["workers[0].realms[0].roles[0]"]
    assert loud[0].message.startswith(
        "OPEN TO ANYBODY: whoever reaches workers[0].transports[0].paths.ws and "
        "workers[0].transports[0].paths.notify on port 8080 of every interface may call, register, publish and "
        "subscribe without authentication"
    )


def test_the_tutorials_configuration_means_what_it_says(node_directory: Path) -> None:
    (worker,) = load(COPY, node_directory=node_directory).options.workers
    (realm,) = worker.realms
    (role,) = realm.roles
    (transport,) = worker.transports

    assert worker.options.pythonpath == [".."]
    assert (realm.name, role.name) == ("realm1", "anonymous")
    everything = AllowedActions(publish=True, subscribe=True, call=True, register=True)
    assert role.permissions == [PermissionRule(uri="", match="prefix", allow=everything)]
    assert transport.paths == {
        "/": WsgiOptions(module="django_project.wsgi", object="application"),
        "ws": WebSocketPathOptions(),
        "notify": PublisherOptions(realm="realm1", role="anonymous"),
        "static": StaticOptions(directory="../static"),
    }


def test_the_copy_used_here_is_the_one_the_tutorial_prints() -> None:
    candidates = [Path(os.environ.get("HELIOGRAPH_SEED", "")), *_beside_the_repository()]
    text = next((file.read_text(encoding="utf-8") for file in candidates if file.is_file()), None)
    if text is None:
        pytest.skip(f"{WRITTEN} is not beside this checkout (HELIOGRAPH_SEED may name it)")

    start = text.rindex("\n    {\n", 0, text.index('"workers": ['))
    printed = text[start : text.index("\n\nThe first part", start)]
    unindented = "\n".join(line.removeprefix("    ") for line in printed.strip("\n").splitlines())
    assert unindented == COPY.read_text(encoding="utf-8").rstrip("\n")


def _beside_the_repository() -> list[Path]:
    return [parent / "shared" / "seed" / WRITTEN for parent in Path(__file__).parents]
