"""`python tools/client_reference.py [FILE]`: the reference of the client, from its docstrings."""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heliograph import client
from heliograph.client import blocking, errors

HEAD = """\
# Client reference

Everything that `heliograph.client` offers; [how to use it](../how-to/client.md) is another page. It works with CPython
3.11 and newer, with asyncio's own event loop or uvloop.

This page is made from the program: `python tools/client_reference.py docs/reference/client.md`.
"""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Connecting": ("connect", "ClientOptions", "TlsOptions"),
    "Credentials": ("Anonymous", "Ticket", "WampCra", "Scram", "Cryptosign", "TlsCertificate", "Credentials"),
    "The session": ("Session",),
    "Events": ("Events", "Subscription", "Event", "Gap", "Missed", "Rejoin"),
    "Calls and procedures": ("ProgressiveCall", "Result", "Registration", "Invocation"),
    "Classes of procedures": ("procedure", "topic", "Added"),
    "Publishing from synchronous code": ("Publisher",),
}

# What a class has for the rest of the client, which no application calls.
INTERNAL: dict[str, set[str]] = {
    "Events": {"put", "lost", "held", "closed", "revoked", "not_restored", "stop"},
    "Subscription": {"put", "lost", "held", "closed", "revoked", "not_restored", "stop", "run"},
    "Invocation": {"put", "dropped", "send_progress"},
    "Registration": {"revoked"},
    "Credentials": {"begin"},
}

_HEADINGS = ("Args", "Attributes", "Returns", "Raises")
_ITEM = re.compile(r"^ {4}(\*{0,2}[\w.]+): (.*)$")


def reference() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(name, getattr(client, name)) for name in names]
    parts.append("## Errors\n")
    parts += [_error(name) for name in client.__all__ if _is_error(name)]
    parts.append("## Without asyncio: `heliograph.client.blocking`\n")
    parts += [_entry(f"blocking.{name}", getattr(blocking, name)) for name in _blocking_names()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _blocking_names() -> list[str]:
    return ["connect", "Session", *(name for name in blocking.__all__ if name not in ("connect", "Session"))]


def _is_error(name: str) -> bool:
    found = getattr(errors, name, None)
    return isinstance(found, type) and issubclass(found, Exception)


def _error(name: str) -> str:
    found = getattr(errors, name)
    bases = " and ".join(f"`{base.__name__}`" for base in found.__bases__)
    return f"### {name}\n\nA {bases}.\n\n{_markdown(found.__doc__)}\n"


def _entry(name: str, found: Any) -> str:
    lines = [f"### {name}\n"]
    if inspect.isclass(found):
        lines.append(_markdown(found.__doc__))
        if found in (client.ClientOptions, client.TlsOptions):
            lines.append(_defaults(found))
        lines += [_member(found, each) for each in _public(found)]
    else:
        lines += [_signature(name, found), _markdown(found.__doc__)]
    return "\n".join(part for part in lines if part) + "\n"


def _defaults(found: Any) -> str:
    fields = zip(found.__struct_fields__, found.__struct_defaults__, strict=True)
    return "```text\n" + "\n".join(f"{field}={default!r}" for field, default in fields) + "\n```\n"


def _public(found: type) -> Iterator[str]:
    """Yield the names of what a class offers, in the order in which it is written, bases first."""
    is_blocking = found.__module__.startswith("heliograph.client.blocking")
    hidden = (
        set() if is_blocking else set().union(*(INTERNAL.get(kind.__name__, ()) for kind in found.__mro__))
    )
    seen = dict.fromkeys(
        name
        for kind in reversed(found.__mro__)
        if kind.__module__.startswith("heliograph.client")
        for name, member in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    )
    for name in seen:
        if name not in hidden:
            yield name


def _member(found: type, name: str) -> str:
    member = inspect.getattr_static(found, name)
    if isinstance(member, property):
        return f"#### `{name}`\n\n{_markdown(member.__doc__)}"
    return f"#### `{name}`\n\n{_signature(name, member)}\n{_markdown(member.__doc__)}"


def _signature(name: str, function: Any) -> str:
    text = str(inspect.signature(function))
    # Names without their modules, but those of other libraries.
    text = re.sub(r"\b(?:heliograph|collections|typing|builtins|abc)\.(?:\w+\.)*(?=\w)", "", text)
    text = re.sub(r"<.*>", "…", text)
    text = text.replace("(self, ", "(").replace("(self)", "()").replace("'", '"')
    prefix = "await " if inspect.iscoroutinefunction(function) else ""
    whole = f"{prefix}{name.rpartition('.')[2]}{text}"
    return "```text\n" + "\n".join(textwrap.wrap(whole, 110, subsequent_indent="    ")) + "\n```\n"


def _markdown(docstring: str | None) -> str:
    """Return a docstring as Markdown: indented examples become code, the sections lists."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    parts: list[str] = []
    section = ""
    block: list[str] = []
    for line in [*lines, "End:"]:
        heading = line.removesuffix(":")
        if line.endswith(":") and (heading in _HEADINGS or heading == "End"):
            parts.append(_section(section, block))
            section, block = heading, []
        else:
            block.append(line)
    return "\n".join(part for part in parts if part)


def _section(heading: str, block: list[str]) -> str:
    if not heading:
        return _prose(block)
    items: list[list[str]] = []
    for line in block:
        if match := _ITEM.match(line):
            items.append([match[1], match[2]])
        elif line.strip() and items and line.startswith(" " * 8):
            items[-1][1] += f" {line.strip()}"
        elif line.strip():
            items.append(["", line.strip()])
    if heading == "Returns" or not any(name for name, _ in items):
        return f"**{heading}** " + " ".join(text for _, text in items) + "\n"
    listed = "\n".join(f"* `{name}`: {text}" if name else f"* {text}" for name, text in items)
    return f"**{heading}**\n\n{listed}\n"


def _prose(block: list[str]) -> str:
    text = "\n".join(block).strip()
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(_paragraph(each) for each in paragraphs if each.strip()) + "\n" if text else ""


def _paragraph(text: str) -> str:
    if all(line.startswith("    ") for line in text.splitlines()):
        return "```python\n" + textwrap.dedent(text) + "\n```"
    return " ".join(text.split())


def main(arguments: list[str]) -> int:
    """Write the page to the file that is named, or to standard output."""
    page = reference()
    if arguments:
        Path(arguments[0]).write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
