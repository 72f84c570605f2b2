"""The net: hostile and odd inputs of every kind, each held to "the right vector, or one line of ours".

A case is a target, a seed and a number; from these a recipe is drawn, which is data, and the recipe is run in a
process of its own. So whatever fails is told by one command, can be shrunk, and can be kept: `corpus/` has the
recipes of everything that was ever found. `python tests/fuzz --help` says how to run it.
"""
