"""Python functions that decide who may join: each in a process of its own, asked as a WAMP procedure."""
