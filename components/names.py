"""Names that several components, and the command line, refer to."""

PIPELINE_NAME = "tinytimbre"
"""The same for every configuration, so that sweeps in one workspace share TFX's cache."""

REPORT = "report.html"
"""In a `Selection` and in a `PushedModel` artifact."""

PUBLISHED_MODELS = "models"
"""In a `PushedModel` artifact: what was published, in the layout of every place that models are published to."""
