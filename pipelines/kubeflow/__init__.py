"""The same pipeline for Kubeflow Pipelines: how it is compiled, and what runs in its containers."""
