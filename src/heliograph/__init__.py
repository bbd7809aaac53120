"""Heliograph: one message, flashed to everybody who is watching."""

__version__ = "0.1.0"
