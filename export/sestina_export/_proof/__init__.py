"""Agreement with PyTorch and with transformers, measured."""
