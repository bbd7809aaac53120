"""Puts AutobahnJS where the page looks for it: static/autobahn.min.jgz, from the npm package autobahn-browser."""

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "autobahn-browser@22.11.1"
FILE = "autobahn.min.jgz"  # JavaScript, gzipped already
SHA256 = "9a65012d7e1d45819316b65212f11775fb9d0e5d9315bcaa019a2494dea10cbe"


def main():
    target = Path(__file__).parent / "static" / FILE
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--prefer-offline", "--silent", "--pack-destination", folder, PACKAGE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            content = package.extractfile(f"package/{FILE}").read()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"{PACKAGE} is not the one this tutorial was written with; nothing was written.")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    print(f"{target.relative_to(Path(__file__).parent)}: {len(content)} bytes")


if __name__ == "__main__":
    main()
