"""The two files of a bundle that are for people: what it is, and under which licence."""

from __future__ import annotations

from sestina_model.checkpoint import Checkpoint
from sestina_model.head_config import LOGITS, HeadConfig, pooling_modes
from sestina_model.late_interaction import LateInteraction

__all__ = ["bundle_licence", "bundle_readme"]

_NAMED = 8  # labels that a README shows
_POOLED = {
    "mean": "the mean over",
    "max": "the maximum over",
    "cls": "the first of",
    "mean_sqrt_len_tokens": "the sum, by the root of their number, over",
    "weightedmean": "the mean, weighted by place, over",
    "lasttoken": "the last of",
}
_NEAR = {
    "cosine": "with a high cosine",
    "dot": "with a high dot product",
    "euclidean": "at a small distance",
    "manhattan": "at a small distance, summed over dimensions",
}


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
    head = checkpoint.model.head
    if head.late_interaction is not None:
        return _readme_of_late(checkpoint, head.late_interaction)
    if head.task in LOGITS:
        return _readme_of_logits(checkpoint)
    if head.sparse:
        return _readme_of_sparse(checkpoint)
    pooled = " and ".join(_POOLED[mode] for mode in pooling_modes(head.pooling))
    length = "of length 1" if checkpoint.model.unit_length else "not normalised"
    more = _prompts(head) + _further(head)
    return f"""# {checkpoint.name}

A Sestina bundle: a text encoder as ONNX graphs, with its tokenizer. It turns a text into a vector of
{checkpoint.dimensions} numbers ({pooled} its tokens, {length}); texts of similar meaning have vectors
{_NEAR[head.similarity]}. It reads the first {head.max_tokens} tokens of a text.{more}

    pip install sestina

    import sestina
    encoder = sestina.load("this directory")
    vectors = encoder.encode(["one text", "another text"])
    encoder.verify()        # the same vectors here as where it was exported?

`manifest.json` lists the graphs with their checksums and their measured agreement with PyTorch, `golden.json`
and `golden.npy` hold texts with the ids and vectors they must give. Licence of the weights: see LICENSE.
"""


def _readme_of_logits(checkpoint: Checkpoint) -> str:
    head = checkpoint.model.head
    labels = ", ".join(head.labels[:_NAMED]) + (", ..." if len(head.labels) > _NAMED else "")
    if head.task == "rerank":
        what = "scores how well a document answers a query, reading both together"
        use = """reranker = sestina.load_reranker("this directory")
    reranker.rank("a query", ["one document", "another document"], top_k=10)
    reranker.verify()"""
    elif head.task == "tag":
        what = f"labels every token of a text ({labels}), and so finds what stands where"
        use = """tagger = sestina.load_tagger("this directory")
    tagger.tag("one text")
    tagger.verify()"""
    else:
        what = f"says which of {len(head.labels)} labels a text has ({labels})"
        use = """classifier = sestina.load_classifier("this directory")
    classifier.classify(["one text", "another text"])
    classifier.verify()"""
    read = "a query and a document together" if head.pairs else "a text"
    return f"""# {checkpoint.name}

A Sestina bundle: a text encoder with a head, as ONNX graphs, with its tokenizer. It {what}.
It reads {head.max_tokens} tokens of {read}.

    pip install sestina

    import sestina
    {use}       # the same numbers here as where it was exported?

`manifest.json` lists the graphs with their checksums and their measured agreement with PyTorch, `golden.json`
and `golden.npy` hold texts with the ids and logits they must give. Licence of the weights: see LICENSE.
"""


def _readme_of_sparse(checkpoint: Checkpoint) -> str:
    head = checkpoint.model.head
    return f"""# {checkpoint.name}

A Sestina bundle: a sparse text encoder (SPLADE) as ONNX graphs, with its tokenizer. It gives a text a weight
for each token of its vocabulary that the text is about, of {checkpoint.dimensions}; most have none. It reads
the first {head.max_tokens} tokens of a text.{_prompts(head)}

    pip install sestina

    import sestina
    encoder = sestina.load_sparse_encoder("this directory")
    weights = encoder.encode(["one text", "another text"])
    encoder.verify()        # the same weights here as where it was exported?

`manifest.json` lists the graphs with their checksums and their measured agreement with PyTorch, `golden.json`
and `golden.npy` hold texts with the ids and weights they must give. Licence of the weights: see LICENSE.
"""


def _readme_of_late(checkpoint: Checkpoint, late: LateInteraction) -> str:
    return f"""# {checkpoint.name}

A Sestina bundle: a text encoder of late interaction as ONNX graphs, with its tokenizer. It turns each token
of a text into a vector of {checkpoint.dimensions} numbers; a document answers a query well where each token
of the query is near to one of the document. It reads the first {late.query.max_tokens} tokens of a query and
{late.document.max_tokens} of a document.

    pip install sestina

    import sestina
    encoder = sestina.load_multi_vector_encoder("this directory")
    encoder.rank("a query", ["one document", "another document"], top_k=10)
    encoder.verify()       # the same numbers here as where it was exported?

`manifest.json` lists the graphs with their checksums and their measured agreement with PyTorch, `golden.json`
and `golden.npy` hold texts with the ids and vectors they must give. Licence of the weights: see LICENSE.
"""


def _further(head: HeadConfig) -> str:
    """What else it gives; nothing where that is nothing."""
    if head.token_outputs is None:
        return ""
    kinds = {"sparse": "the weight of each word that stands in it", "multi-vector": "a vector of each token"}
    given = " and ".join(kinds[name] for name in head.token_outputs.names)
    return f"""

In the same pass it gives of a text {given}:
`encoder.encode(texts, outputs=encoder.outputs)`."""


def _prompts(head: HeadConfig) -> str:
    """What a reader must know of the prompts; nothing where there are none."""
    if not head.prompts:
        return ""
    default = head.default_prompt
    usual = f"{default!r} unless another is named" if default is not None else "only where one is named"
    return f"""
It was trained with prompts, text put before a text ({", ".join(map(repr, head.prompts))}; {usual}):
`encoder.encode_query` and `encoder.encode_document` choose the right one."""
