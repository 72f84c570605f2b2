"""The Transformer encoder in PyTorch: model, tokenizer training, checkpoints."""
