"""Finalists as TensorFlow.js bundles."""
