"""The specification's test vectors, where they are.

`HELIOGRAPH_WAMP_VECTORS` names their folder: `testsuite/` of the wamp-proto repository, or a copy of its
`singlemessage` and `multisession`. Without it a folder `shared/wamp-vectors` beside the checkout is taken. Their code
snippets are never run.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("HELIOGRAPH_WAMP_VECTORS") or ROOT.parent / "shared" / "wamp-vectors")
HERE = Path(__file__).parent


class Sample(NamedTuple):
    """One sample of one file.

    Attributes:
        id: the file's name and the sample's number in it, from 1.
        data: the sample.
    """

    id: str
    data: dict[str, Any]


def samples() -> Iterator[Sample]:
    """Return all samples of single messages, in a fixed order."""
    for file in sorted(FOLDER.glob("singlemessage/**/*.json")):
        for number, data in enumerate(json.loads(file.read_text(encoding="utf-8"))["samples"], 1):
            yield Sample(f"{file.stem}-{number}", data)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without vectors there is nothing to run, and the summary says so."""
    if not (FOLDER / "singlemessage").is_dir():
        reason = "the specification's vectors are not here (HELIOGRAPH_WAMP_VECTORS may name their folder)"
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))
