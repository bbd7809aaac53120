"""The commands of the how-to that make a token and send it, as they stand there but for the port."""

import asyncio
import json
import re
import stat
from pathlib import Path

from tests.support.nodes import OPEN_REALM, node_config, router_process, web_transport

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "http-bridge.md"
NOTIFY = {
    "type": "publisher",
    "realm": "realm1",
    "role": "anonymous",
    "options": {"token": {"file": "notify_token"}},
}


async def test_make_a_token_that_the_router_asks_for(tmp_path: Path) -> None:
    (block,) = [
        found
        for found in re.findall(r"^```console\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
        if "openssl" in found
    ]
    make, send = [command.replace("\\\n", "") for command in block.removeprefix("$ ").split("\n$ ")]

    await _shell(make, tmp_path)
    assert stat.S_IMODE((tmp_path / "notify_token").stat().st_mode) == 0o600
    config = node_config(web_transport({"notify": NOTIFY, "metrics": {"type": "metrics"}}), realm=OPEN_REALM)
    with router_process(tmp_path, config) as router:
        here = send.replace("127.0.0.1:8080", "{}:{}".format(*router.address))
        assert json.loads(await _shell(here, tmp_path)).keys() == {"id"}
        (tmp_path / "notify_token").write_text("another-token-than-that")
        refused = json.loads(await _shell(here, tmp_path))
        assert refused["error"] == "the token in `Authorization` is not this path's token"


async def _shell(command: str, directory: Path) -> bytes:
    process = await asyncio.create_subprocess_shell(
        command, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, errors.decode()
    return out
