"""A PyTorch text encoder to a verified bundle."""
