"""Wires the components once, runs them locally, and holds the command line."""
