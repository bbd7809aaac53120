"""Supervision of child processes.

This file stays empty of imports: every supervised Python child imports it.
"""
