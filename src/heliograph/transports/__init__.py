"""Sockets, tasks and the clock: what carries messages between peers and routing."""
