"""A folder as BGE-M3's: XLM-R with the contract of sentence-transformers, and two heads beside it; tiny, seeded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _tiny import perturb, tiny_xlm_roberta

WIDTH, LIMIT, SPECIAL = 32, 40, (0, 1, 2, 3)  # <s>, <pad>, </s>, <unk>
FILES = ("sparse_linear.pt", "colbert_linear.pt")


def m3_folder(
    path: Path, files: Sequence[str] = FILES, *, seed: int = 3, pooling: str = "cls", d: int = WIDTH
) -> Path:
    """Weights drawn anew, a limit of 40 tokens, and of the two heads those that are named."""
    import torch
    import transformers

    tokenizer = tiny_xlm_roberta()
    torch.manual_seed(seed)
    config = transformers.XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=LIMIT + 2, pad_token_id=1,
    )  # fmt: skip
    model = transformers.XLMRobertaModel(config, add_pooling_layer=False)
    perturb(model, seed)
    model.eval().save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    named = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
    }
    stated = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": LIMIT, **named}
    _write(path / "tokenizer_config.json", stated)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": at, "name": str(at), "path": folder, "type": f"sentence_transformers.models.{kind}"}
        for at, (folder, kind) in enumerate(kinds.items())
    ]
    _write(path / "modules.json", modules)
    _write(path / "sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})
    mode = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
    pooled = {name: kind == pooling for kind, name in mode.items()}
    _write(path / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **pooled})
    (path / "2_Normalize").mkdir()
    for file, (linear, _) in m3_heads(seed, d).items():
        if file in files:
            torch.save(linear.state_dict(), path / file)
    return path


def m3_heads(seed: int = 3, d: int = WIDTH) -> dict[str, tuple[Any, int]]:
    """The linear maps by their file, as torch has them, and their widths."""
    import torch

    heads = {}
    for at, (file, width) in enumerate(zip(FILES, (1, d), strict=True)):
        linear = torch.nn.Linear(WIDTH, width)
        perturb(linear, seed + 10 + at)
        if width == 1:
            torch.nn.init.constant_(linear.bias, 2.0)  # so that most tokens weigh something, and some nothing
        heads[file] = linear, width
    return heads


def reference(folder: Path, texts: Sequence[str], seed: int = 3, d: int = WIDTH) -> list[dict[str, Any]]:
    """What FlagEmbedding makes of each text, written anew on transformers: the dense vector, the weight of each id in
    ascending order, and the vectors of all tokens but the first.
    """
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder), add_pooling_layer=False).eval()
    heads = [linear for linear, _ in m3_heads(seed, d).values()]
    found = []
    for text in texts:
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=LIMIT)
        ids = given["input_ids"][0].tolist()
        with torch.no_grad():
            states = model(**given).last_hidden_state[0]
            heaviest: dict[int, float] = {}
            for id_, weight in zip(ids, torch.relu(heads[0](states))[:, 0].tolist(), strict=True):
                if id_ not in SPECIAL and weight > heaviest.get(id_, 0.0):
                    heaviest[id_] = weight
            vectors = torch.nn.functional.normalize(heads[1](states[1:]), dim=-1)
            dense = torch.nn.functional.normalize(states[0], dim=-1)
        found.append(
            {
                "dense": dense.numpy(),
                "sparse": dict(sorted(heaviest.items())),
                "multi-vector": vectors.numpy(),
            }
        )
    return found


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def several_checkpoint(*, pooling: str = "cls", include_prompt: bool = True) -> Any:
    """A checkpoint of our own that gives all three, with prompts; its vectors of tokens have 16 dimensions."""
    import torch

    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import EncoderConfig, HeadConfig
    from sestina_model.encoder import TransformerEncoder
    from sestina_model.sentence import SentenceEncoder
    from sestina_model.token_outputs import TokenOutputs

    tokenizer = tiny_xlm_roberta()
    config = EncoderConfig(
        vocab_size=tokenizer.get_vocab_size(), n_layers=2, d_model=WIDTH, n_heads=4, d_ff=48, activation="gelu",
        positions="learned", max_positions=LIMIT, scale_embeddings=False, norm_embeddings=True,
    )  # fmt: skip
    head = HeadConfig(
        pooling=pooling,
        max_tokens=LIMIT,
        prompts={"query": "the ", "document": "a "},
        include_prompt=include_prompt,
        token_outputs=TokenOutputs(sparse=True, skip=SPECIAL, multi_vector=16, first=1),
    )
    model = SentenceEncoder(TransformerEncoder(config), head)
    perturb(model, 5)
    torch.nn.init.constant_(model.token_maps.linear("sparse").bias, 0.5)
    return Checkpoint(model.eval(), tokenizer, "tiny-several", "apache-2.0", None)


def several_bundle(targets: Sequence[str] = ("cpu",), precisions: Sequence[str] | None = ("fp32",)) -> Path:
    """Its bundle, exported once."""
    from _made import kept

    def make(path: Path) -> None:
        from sestina_export import export

        export(several_checkpoint(), path, targets=targets, precisions=precisions)

    return kept(["several", [*targets], precisions and [*precisions]], "sestina", make)
