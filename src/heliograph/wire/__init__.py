"""Bytes to messages and back, without I/O: serializers, WebSocket messages and frames."""
