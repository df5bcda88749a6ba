"""kcolor: automatic colorization in Keras."""

__version__ = "0.1.0"
