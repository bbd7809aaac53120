"""`python -m heliograph.agent`: the agent without the rest of the command line."""

from heliograph import leave_current_directory, open_standard_streams

if __name__ == "__main__":
    leave_current_directory()

import argparse
import sys

from heliograph.agent.cli import add_arguments, run


def main() -> int:
    """Parse this process's arguments and run the agent until a signal ends it."""
    open_standard_streams()
    parser = argparse.ArgumentParser(
        prog="heliograph-agent", description="Publish this machine's figures to a Heliograph router."
    )
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
