"""Who may join, and as whom: one file a method; the mathematics of each is in `heliograph.auth`.

An authenticator takes an applicant and goes on with a step: it lets the applicant in, asks it something, refuses it, or
has nothing to say about it. A step may come later, when somebody else was asked; then the session waits.
"""
