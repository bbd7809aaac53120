"""Authentication: one file a method, challenge and response as pure functions."""
