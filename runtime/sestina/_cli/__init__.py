"""The command line: one module for each command, and one for each idea that commands share.

Modules of commands import what is heavy (numpy, onnxruntime) only when a command runs.
"""
