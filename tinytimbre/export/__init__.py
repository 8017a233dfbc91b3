"""From a trained decoder to a published TensorFlow.js model, and back.

`settings` and `size` are plain data; `converter` is the only place that knows tensorflowjs; `bundle` writes and
reads bundles; `node` runs them in the real TensorFlow.js; `publish` and `card` put one where clients find it.
Importing this package costs nothing: TensorFlow and tensorflowjs are imported by the functions that need them.
"""
