"""Heliograph beside what people would pick instead, in turn within one run."""
