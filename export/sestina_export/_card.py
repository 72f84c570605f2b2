"""The two files of a bundle that are for people: what it is, and under which licence."""

from __future__ import annotations

from sestina_model.checkpoint import Checkpoint

__all__ = ["bundle_licence", "bundle_readme"]


def bundle_licence(checkpoint: Checkpoint) -> str:
    """The text of the bundle's LICENSE."""
    if checkpoint.licence is None:
        return (
            f"The source of {checkpoint.name} states no licence for its weights.\n"
            "Ask whoever published them before you pass this bundle on.\n"
        )
    return (
        f"SPDX-License-Identifier: {checkpoint.licence}\n\n"
        f"The weights and the tokenizer of {checkpoint.name} are under the licence above, as their source "
        "states it.\nSestina, which exported them, makes no claim to them.\n"
    )


def bundle_readme(checkpoint: Checkpoint) -> str:
    """The text of the bundle's README.md."""
    config, head = checkpoint.model.encoder.config, checkpoint.model.head
    pooled = {"mean": "the mean over", "max": "the maximum over", "cls": "the first of"}[head.pooling]
    length = "of length 1" if head.normalize else "not normalised"
    return f"""# {checkpoint.name}

A Sestina bundle: a text encoder as ONNX graphs, with its tokenizer. It turns a text into a vector of
{config.d_model} numbers ({pooled} its tokens, {length}); texts of similar meaning have vectors
with a high cosine. It reads the first {head.max_tokens} tokens of a text.

    pip install sestina

    import sestina
    encoder = sestina.load("this directory")
    vectors = encoder.encode(["one text", "another text"])
    encoder.verify()        # the same vectors here as where it was exported?

`manifest.json` lists the graphs with their checksums and their measured agreement with PyTorch, `golden.json`
and `golden.npy` hold texts with the ids and vectors they must give. Licence of the weights: see LICENSE.
"""
