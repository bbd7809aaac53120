"""The log of those rooms that run within other people's programs, whose handlers are not ours."""

import logging

from heliograph.logs.handler import message_of
from heliograph.logs.tracebacks import traceback_text
from heliograph.logs.visible import shortened, visible


def show_records_of(name: str) -> None:
    """Make each record of a logger visible text, whatever a peer has said, before any handler gets it."""
    logging.getLogger(name).addFilter(_made_visible)


def _made_visible(record: logging.LogRecord) -> bool:
    record.msg = visible(shortened(message_of(record)))
    record.args = None
    if record.exc_info and record.exc_info[0] is not None:
        # A formatter takes this text in place of its own; what is raised may quote a peer.
        record.exc_text = traceback_text(*record.exc_info)
    return True
