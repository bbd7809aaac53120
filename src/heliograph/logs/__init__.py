"""What is written for people: shown as text, cut to a length, and never waited for."""
