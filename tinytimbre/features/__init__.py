"""Control features of a recording: pitch with confidence, A-weighted loudness, RMS energy; their statistics.

Importing this package costs nothing: onnxruntime, librosa and TensorFlow are imported by the
functions that need them.
"""
