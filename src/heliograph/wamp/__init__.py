"""The words of WAMP v2: messages, payload, identifiers, URIs and errors. No behaviour, no I/O."""
