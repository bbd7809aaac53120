"""What `heliograph init` writes: a small configuration that works, and a live page."""

from collections.abc import Sequence
from pathlib import Path

from heliograph.config.locate import FILE_NAMES

CONFIG = """\
# A Heliograph node. `heliograph check` tells what is wrong in here; every key is in docs/reference/configuration.md.
version: 2
workers:
  - type: router
    realms:
      - name: realm1
        roles:
          # Sessions that do not authenticate. Nothing is allowed that is not named.
          - name: anonymous
            permissions:
              - uri: ""
                match: prefix
                allow: {publish: true, subscribe: true, call: true, register: true}
    transports:
      - type: web
        endpoint:
          type: tcp
          port: 8080
          interface: 127.0.0.1 # this machine only; "" listens on every interface
        paths:
          # The page in web/, served at http://127.0.0.1:8080/
          /:
            type: static
            directory: web
            options:
              default_file: index.html
          # WAMP clients connect to ws://127.0.0.1:8080/ws
          ws:
            type: websocket
            options:
              allowed_origins: [self] # pages of other sites may not connect
          # One POST of {"topic": "hello", "args": ["world"]} reaches every subscriber.
          notify:
            type: publisher
            realm: realm1
            role: anonymous
"""

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heliograph</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  #events { padding: 0; list-style: none; font-family: ui-monospace, monospace; }
  #events li { border-top: 1px solid #8884; padding: .4rem 0; overflow-wrap: anywhere; }
</style>
<h1>Heliograph</h1>
<p>Events on the topic <code>hello</code>, as they happen: <b id="state">connecting</b></p>
<form id="send"><input id="text" value="world" aria-label="text"> <button>Publish with a POST</button></form>
<ul id="events"></ul>
<script type="module" src="live.js"></script>
</html>
"""

SCRIPT = """\
// The whole protocol a subscriber needs: HELLO, WELCOME, SUBSCRIBE, EVENT. Real applications take a WAMP library.
const state = document.getElementById("state");
const events = document.getElementById("events");

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws`, "wamp.2.json");
  const send = (message) => socket.send(JSON.stringify(message));
  socket.onopen = () => send([1, "realm1", { roles: { subscriber: {} } }]);
  socket.onmessage = ({ data }) => {
    const [code, ...fields] = JSON.parse(data);
    if (code === 2) send([32, 1, {}, "hello"]); // WELCOME: subscribe
    if (code === 33) state.textContent = "connected"; // SUBSCRIBED
    if (code === 36) show(fields[3] ?? []); // EVENT: subscription, publication, details, arguments
  };
  socket.onclose = () => {
    state.textContent = "lost, trying again";
    setTimeout(connect, 1000);
  };
}

function show(args) {
  const item = document.createElement("li");
  item.textContent = `${new Date().toLocaleTimeString()}  ${JSON.stringify(args)}`;
  events.prepend(item);
  while (events.children.length > 100) events.lastChild.remove();
}

document.getElementById("send").onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ topic: "hello", args: [document.getElementById("text").value] });
  await fetch("/notify", { method: "POST", headers: { "Content-Type": "application/json" }, body });
};

connect();
"""


def write_starter(directory: Path, config_name: str) -> Sequence[Path]:
    """Write a configuration and its page.

    Arguments:
        directory: the node directory; created when absent
        config_name: name of the configuration file in it, which ends in .yaml or .yml

    Returns: the files written.

    Raises ValueError when the name will not do, FileExistsError when there is a configuration or a page already
    (then nothing is written), and other OSErrors as they come.
    """
    if Path(config_name).name != config_name or Path(config_name).suffix not in {".yaml", ".yml"}:
        raise ValueError(
            f"--config must be a name in the node directory that ends in .yaml, got {config_name!r}"
        )
    contents = {
        directory / config_name: CONFIG,
        directory / "web" / "index.html": PAGE,
        directory / "web" / "live.js": SCRIPT,
    }
    present = [file for file in [*(directory / name for name in FILE_NAMES), *contents] if file.exists()]
    if present:
        raise FileExistsError(
            f"{present[0]} is there already; nothing was written. Choose another place with --cbdir"
        )
    for file, text in contents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    return tuple(contents)
