"""Documents: their links lead somewhere, and their commands are known to work."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|(?:src|href|srcset)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"README\.md|[a-z0-9-]+\.(?:added|changed|fixed|removed|security)\.md")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# Each command that a document shows, and what runs it (a test's path) or why nothing does.
_EC_KEY = "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
_SIGNED = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 30"
_OWN_AUTHORITY = f'openssl req -x509 -newkey {_EC_KEY} -days 30 -subj "/CN=Example authority"'
_BRIDGE = "curl http://127.0.0.1:8080/notify -H 'Content-Type: application/json' -d"
_SHOWN = "tests/house/test_shown_commands.py"
_LONG_POLL = "tests/transports/test_how_to.py"
_TRANSPORTS = "tests/transports/test_how_to_transports.py"
_AUTHENTICATION = "tests/client/test_how_to_authentication.py"
_TUTORIAL = "tests/examples/test_tutorial_system.py"
COMMANDS = {
    "make run": "fetches packages; tests/house/test_bootstrap.py has its set-up, tests/browser what it starts",
    "make test": "runs these tests",
    "make bench ARGS=setup": "installs other systems",
    "make bench": "takes 20 minutes; tests/benchmarks asks each of its questions in short",
    'make bench ARGS="show --write"': "writes this page; tests/benchmarks has it write another",
    "make install": "fetches packages; `make test` has done the same before these tests",
    f"""{_BRIDGE} '{{"topic": "news", "args": ["hello"]}}'""": _SHOWN,
    "(umask 077; openssl rand -hex 32 > notify_token)": "tests/scenarios/test_bridge_token.py",
    'curl http://127.0.0.1:8080/notify -H "Authorization: Bearer $(cat notify_token)" '
    """-H 'Content-Type: application/json' -d '{"topic": "news", "args": ["hello"]}'""": (
        "tests/scenarios/test_bridge_token.py"
    ),
    """curl http://127.0.0.1:8080/lp/open -d '{"protocols": ["wamp.2.json"]}'""": _LONG_POLL,
    """curl http://127.0.0.1:8080/lp/$ID/send -d '[1, "realm1", {"roles": {"subscriber": {}}}]'""": _LONG_POLL,
    "curl -X POST http://127.0.0.1:8080/lp/$ID/receive": _LONG_POLL,
    "curl -X POST http://127.0.0.1:8080/lp/$ID/close": _LONG_POLL,
    f"{_OWN_AUTHORITY} -keyout ca.key -out ca.crt": _TRANSPORTS,
    f'openssl req -newkey {_EC_KEY} -subj "/CN=localhost" -keyout server.key -out server.csr': _TRANSPORTS,
    r'printf "subjectAltName=DNS:localhost,IP:127.0.0.1\n" > server.ext': _TRANSPORTS,
    f"openssl x509 -req -in server.csr {_SIGNED} -extfile server.ext -out server.crt": _TRANSPORTS,
    "curl --cacert ca.crt https://localhost:8443/metrics": _TRANSPORTS,
    "kill -HUP $ROUTER_PID": _TRANSPORTS,
    f'openssl req -newkey {_EC_KEY} -subj "/CN=agent-7" -keyout agent-7.key -out agent-7.csr': _TRANSPORTS,
    f"openssl x509 -req -in agent-7.csr {_SIGNED} -out agent-7.crt": _TRANSPORTS,
    "python tools/compare_clients.py": "tests/client/test_comparison.py",
    "heliograph publish news hello": _SHOWN,
    "heliograph subscribe clientstats": _SHOWN,
    "heliograph init": _SHOWN,
    "heliograph check": _SHOWN,
    "heliograph start": _SHOWN,
    "python -m heliograph.testing.echo --port 9001": "tests/testing/test_how_to.py",
    "heliograph secret ticket joe --role frontend --generate joe.ticket": _AUTHENTICATION,
    "heliograph publish --authid joe --ticket-file joe.ticket com.example.news hello": _AUTHENTICATION,
    "heliograph secret wampcra mary --role frontend --generate mary.secret": _AUTHENTICATION,
    "heliograph secret scram anna --role frontend": _AUTHENTICATION,
    "heliograph keygen machine.key --authid machine7 --role frontend": _AUTHENTICATION,
    "openssl x509 -in machine9.crt -noout -fingerprint -sha256": _AUTHENTICATION,
    "heliograph keygen door.key --authid door --role door": _AUTHENTICATION,
    "cd examples/django-tutorial": "is where the test's copy comes from",
    ". ../../.venv/bin/activate": "the test puts the environment on PATH",
    "python manage.py migrate": _TUTORIAL,
    "python manage.py createsuperuser": _TUTORIAL,
    "python fetch_autobahn.py": _TUTORIAL,
    "python manage.py collectstatic --noinput": _TUTORIAL,
    "python client.py": _TUTORIAL,
}


def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(documents: list[Path]) -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in documents
        for link in _relative_links(document)
        if not _resolves(document, link)
    ]

    assert broken == []


def test_every_command_shown_is_run_by_a_test_or_listed_with_a_reason(documents: list[Path]) -> None:
    shown = {command for document in documents for command in _commands(document)}

    assert shown - COMMANDS.keys() == set(), "shown in a document, missing from COMMANDS"
    assert COMMANDS.keys() - shown == set(), "in COMMANDS, no longer shown in any document"


@pytest.mark.parametrize(
    "proof", sorted({proof for proof in COMMANDS.values() if proof.startswith("tests/")})
)
def test_what_is_said_to_run_a_command_exists(proof: str) -> None:
    assert (ROOT / proof).is_file()


def test_each_note_of_a_change_says_its_kind_in_its_name(tracked_files: list[Path]) -> None:
    notes = [path.name for path in tracked_files if path.parent == ROOT / "changes"]

    assert [name for name in notes if not NOTE.fullmatch(name)] == []


def _relative_links(document: Path) -> list[str]:
    prose = FENCE.sub("", document.read_text())
    links = [inline or attribute for inline, attribute in LINK.findall(prose)]
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def _resolves(document: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in _anchors(target))


def _anchors(document: Path) -> set[str]:
    """The names that forges give to headings: lower case, punctuation dropped, spaces as hyphens."""
    headings = HEADING.findall(FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(document: Path) -> list[str]:
    blocks = "".join(CONSOLE.findall(document.read_text())).replace("\\\n", " ")
    return [re.sub(r"\s+", " ", line[2:]).strip() for line in blocks.splitlines() if line.startswith("$ ")]
