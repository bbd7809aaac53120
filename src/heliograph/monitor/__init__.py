"""The fleet monitor's Django application: machines, their configuration, enrolment and the live page."""
