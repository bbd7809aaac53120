"""Run a Python module as a supervised child: `python -m heliograph.processes.module_runner MODULE ARGUMENTS…`.

For modules that know nothing of the parent pipe; otherwise as `python -m MODULE ARGUMENTS…`.
"""

import runpy
import sys

from heliograph.processes.parent import end_with_parent, take_parent_fd


def main() -> None:
    """Watch the parent, then run the module as the main program."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m heliograph.processes.module_runner MODULE [ARGUMENT…]")
    end_with_parent(take_parent_fd())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
