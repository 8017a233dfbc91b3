"""From a trained decoder to a published TensorFlow.js model, and back.

`settings` and `size` are plain data; `converter` is the only place that knows tensorflowjs; `graphs` makes graphs of
decoders, `compaction` shrinks any graph, `packing` stores weights in few bits; `bundle` writes and reads bundles;
`node` runs them in the real TensorFlow.js; `publish` and `card` put one where clients find it; `magenta`, `vst` and
`block` package one for other clients.
Importing this package costs nothing: TensorFlow and tensorflowjs are imported by the functions that need them.
"""
