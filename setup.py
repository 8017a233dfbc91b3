"""Kept beside pyproject.toml because Beam and Kubeflow workers are handed a setup.py; it adds nothing of its own."""

from setuptools import setup

setup()
