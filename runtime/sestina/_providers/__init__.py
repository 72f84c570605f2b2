"""What onnxruntime can run on, as data, and what was asked for."""
