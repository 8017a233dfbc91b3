"""Shared by all tests: ddsp needs Keras 2, which must be chosen before TensorFlow is imported."""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
