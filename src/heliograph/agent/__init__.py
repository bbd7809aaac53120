"""The agent: reads this machine's figures, publishes them, and obeys the configuration sent to it."""
