"""Names of files that several components, and the command line, refer to."""

REPORT = "report.html"
"""In a `Selection` artifact."""
