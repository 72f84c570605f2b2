"""Graphs opened in onnxruntime: one, several at once, one for each length, and looked into."""
