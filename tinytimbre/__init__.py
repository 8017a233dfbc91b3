"""TinyTimbre: recordings of an instrument in, the smallest TF.js model that still sounds right out.

The library: pure functions and small classes. It knows neither TFX nor Beam pipelines nor command-line
flags; `components` and `pipelines` call it, never the other way round.
"""

__version__ = "0.1.0"
