"""botec: back-of-the-envelope calculation for neural networks."""

__version__ = "0.1.0"
