"""Names that users of sentence-transformers type, and what to write instead: one table, one line for each.

Here every thing has one name. Another library's name for it is neither an alias nor taken and ignored: it is
an error that says what to write. Code that is to run as it is has the adapter of `sestina.integrations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from sestina._errors import UnknownAttributeError, UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PROVIDER = "write provider= of sestina.load, where the bundle is opened"
_DIMENSIONS = "write dimensions= of encode, which normalises again where the bundle does"
_BATCHES = (
    "leave it out, as batches are cut by length and no vector depends on them; max_memory_mb= of "
    "sestina.load is the ceiling"
)
_ADAPTER = "sestina.integrations.sentence_transformers has a SentenceTransformer for code that expects one"
_SEVERAL = "write outputs= of an Encoder's encode, such as ('dense', 'sparse', 'multi-vector')"
_NO_HUB = "leave it out, as a bundle is a directory and nothing is downloaded"

ENCODING: Mapping[str, str] = {
    "batch_size": _BATCHES,
    "chunk_size": _BATCHES,
    "convert_to_numpy": "leave it out, as an array of numpy is what there is",
    "convert_to_tensor": "write torch.from_numpy(encoder.encode(texts))",
    "device": _PROVIDER,
    "embeddings1": "write a=, or give it first",
    "embeddings2": "write b=, or give it second",
    "inputs": "write texts=, or give them first",
    "normalize_embeddings": "leave it out; encoder.normalized says whether vectors have the length 1",
    "output_value": "write encoder.hidden_states(texts) for the vectors of tokens",
    "pool": "leave it out, as all cores are used; an encoder can be sent to other processes",
    "precision": "write output=, which is one of float32, float16, int8, binary",
    "prompt_name": "write prompt=, which is a name here; prompt_text= takes any text",
    **dict.fromkeys(("return_colbert_vecs", "return_dense", "return_sparse"), _SEVERAL),
    "sentences": "write texts=, or give them first",
    "show_progress_bar": "write progress=",
    "truncate_dim": _DIMENSIONS,
}
_ROWS = "leave it out, as sparse rows are what comes"
SPARSE: Mapping[str, str] = {
    **ENCODING,
    "convert_to_numpy": f"{_ROWS}; they have to_dense",
    "convert_to_sparse_tensor": f"{_ROWS}; they have to_scipy",
    "convert_to_tensor": "write torch.from_numpy(encoder.encode(texts).to_dense())",
    "max_active_dims": "write max_active=",
    "normalize_embeddings": "leave it out; encoder.similarity_function says how vectors are compared",
    "output_value": _ROWS,
    "precision": _ROWS,
    "save_to_cpu": _ROWS,
    "truncate_dim": "write max_active=, which keeps the largest weights",
}
_OF_ROLES = "leave it out, as the bundle has a prompt for queries and one for documents"
MULTI_VECTOR: Mapping[str, str] = {
    **ENCODING,
    "convert_to_tensor": "write [torch.from_numpy(each) for each in encoder.encode_document(texts)]",
    "embeddings1": "write queries=, or give them first",
    "embeddings2": "write documents=, or give them second",
    "normalize_embeddings": "leave it out, as the bundle says how the vectors of tokens are made",
    "output_value": "leave it out, as a vector of each token is what comes",
    "precision": "leave it out, as float32 is what comes; maxsim takes matrices of any floats",
    "prompt": _OF_ROLES,
    "prompt_name": _OF_ROLES,
    "truncate_dim": "leave it out, as every vector has encoder.dimensions",
}
LOADING: Mapping[str, str] = {
    "backend": _PROVIDER,
    "cache_folder": _NO_HUB,
    "config_kwargs": "leave it out, as the bundle has what the model needs",
    "default_prompt_name": "write prompt= of encode; the default prompt is the bundle's",
    "device": "write provider=",
    "local_files_only": _NO_HUB,
    "model_kwargs": "write provider=, precision= or threads=",
    "model_name_or_path": "write path=, or give it first",
    "prompts": "write prompt_text= of encode; the names are the bundle's",
    "revision": _NO_HUB,
    "similarity_fn_name": "leave it out, as the bundle has it: encoder.similarity_function",
    "token": _NO_HUB,
    "truncate_dim": _DIMENSIONS,
    "trust_remote_code": "leave it out, as a bundle has no code",
}
ATTRIBUTES: Mapping[str, str] = {
    "cuda": _PROVIDER,
    "default_prompt_name": "write default_prompt",
    "device": "write report().provider",
    "encode_multi_process": "write encode, which uses all cores; an encoder can be sent to other processes",
    "eval": "leave it out, as nothing is trained here",
    "get_embedding_dimension": "write dimensions",
    "get_max_seq_length": "write max_tokens",
    "get_sentence_embedding_dimension": "write dimensions",
    "half": "write precision= of sestina.load, or output='float16' of encode",
    "max_seq_length": "write max_tokens, which cannot be changed",
    "normalize_embeddings": "write normalized",
    "similarity_fn_name": "write similarity_function",
    "similarity_pairwise": "write similarity, whose diagonal it is",
    "start_multi_process_pool": "write encode, which uses all cores",
    "to": _PROVIDER,
    "tokenizer": "write tokenize(text)",
    "truncate_dim": "write dimensions= of encode",
}
SPARSE_ATTRIBUTES: Mapping[str, str] = {
    **ATTRIBUTES,
    "half": "write precision= of sestina.load_sparse_encoder",
    "max_active_dims": "write max_active",
    "truncate_dim": "write max_active= of encode, which keeps the largest weights",
}
MULTI_VECTOR_ATTRIBUTES: Mapping[str, str] = {
    **ATTRIBUTES,
    "default_prompt_name": "write prompts, of which each role has its own",
    "encode": "write encode_query or encode_document",
    "encode_multi_process": "write encode_document, which uses all cores",
    "get_max_seq_length": "write max_query_tokens or max_document_tokens",
    "half": "write precision= of sestina.load_multi_vector_encoder",
    "max_seq_length": "write max_query_tokens or max_document_tokens, which cannot be changed",
    "normalize_embeddings": "leave it out, as the bundle says how the vectors of tokens are made",
    "similarity": "write maxsim, which takes matrices",
    "similarity_pairwise": "write maxsim, whose diagonal it is",
    "start_multi_process_pool": "write encode_document, which uses all cores",
    "tokenizer": "leave it out, as encode_query and encode_document take texts",
    "truncate_dim": "write dimensions, which cannot be changed",
}
MODULE: Mapping[str, str] = {
    "SentenceTransformer": f"write sestina.load(path); {_ADAPTER}",
    "quantize_embeddings": "write output= of encode",
    "semantic_search": "write sestina.search(queries, corpus, k)",
    "util": "write sestina.search, or encoder.similarity",
}
LENGTH = "an Encoder has no length: write dimensions for the width of a vector, or max_tokens for a text's"


def with_one_name(instead: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """Make a function say of another library's names for its arguments what to write.

    Any other name that it does not have is Python's to refuse.

    Args:
        instead: What to write, by the names that are not its own.
    """

    def decorate(function: _Function) -> _Function:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            for name in options:
                if name in instead:
                    raise UsageError(f"{function.__name__} has no argument {name!r}: {instead[name]}")
            return function(*arguments, **options)

        return call  # type: ignore[return-value]

    return decorate


def no_attribute(name: str, whose: object, instead: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that an encoder does not have; `instead` says what to write, by its name."""
    kind = type(whose).__name__
    if name in instead:
        said = f"{kind} has no attribute {name!r}: {instead[name]}"
        return UnknownAttributeError(said, name=name, obj=whose)
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=whose)
