"""Exported bundles in the runtimes that will play them: a real browser, or Node where there is none."""
