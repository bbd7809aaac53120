"""What holds for the whole suite."""

import signal


def pytest_configure() -> None:
    # A shell that starts the suite in the background lets it ignore Ctrl-C, and all programs it starts with it; what is
    # handled here is what it was for them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
