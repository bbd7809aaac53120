"""`python -m heliograph`."""

from heliograph import leave_current_directory

if __name__ == "__main__":
    leave_current_directory()

    import sys

    from heliograph.cli import main

    sys.exit(main())
