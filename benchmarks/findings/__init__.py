"""What finished sweeps teach, as tables and pictures: ``python -m benchmarks.findings``."""
