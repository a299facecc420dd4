"""Driving load, and turning raw request records into figures, verdicts and warnings."""
