"""The router itself: messages in, messages out; synchronous, without clock, socket or task of its own."""
