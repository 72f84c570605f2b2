"""Text to vectors from a Sestina bundle, without PyTorch."""

__version__ = "0.1.0"
