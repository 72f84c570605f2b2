"""Tiny tokenizers and checkpoints, built in memory: the same objects in every test, from a seed.

The tokenizers need no PyTorch: they are for tests of the runtime alone, too.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

if TYPE_CHECKING:
    import torch

    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import Activation, Norm, Pooling, Positions

LINES = (
    "the transformer is an innovative nlp model",
    "attention relates the tokens of a sequence to one another",
    "a sestina takes the same words and associates them anew in each stanza",
    "numbers like 1, 23 and 456 are tokens too",
    "the model embeds the text, and the text is a sequence of tokens",
)
WORDS = sorted({word.strip(",") for line in LINES for word in line.split() if word.strip(",").isalpha()})

# What a text encoder meets in the wild; `tests/parity` and the goldens go further.
TEXTS = (
    "",
    "a",
    "the transformer is an innovative NLP model !",
    "Attention relates the tokens of a sequence to one another.",
    "naïve café, Ærøskøbing",
    "注意力 is all you need",
    "السلام عليكم",
    "👩‍👩‍👧‍👦 family 👍🏽",
    "tabs\tand\nnew\x00lines\u200b",
    "model " * 200,
)


def tiny_wordpiece() -> Tokenizer:
    """WordPiece as BERT uses it: lower-cased, [CLS] text [SEP]."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_lowercase + string.digits)
    pieces = [*special, *letters, *("##" + letter for letter in letters), *string.punctuation, *WORDS]
    pieces += ["##s", "##ing", "##er", "注", "意", "力", "عليكم"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


def tiny_bpe() -> Tokenizer:
    """Byte-level BPE that adds no special tokens, so the empty text has no tokens at all."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def tiny_roberta() -> Tokenizer:
    """The same byte-level BPE as RoBERTa uses it: its special tokens first, <s> text </s>."""
    state = json.loads(tiny_bpe().to_str())
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    names = [*special, *state["model"]["vocab"], "<mask>"]
    state["model"]["vocab"] = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokens = [AddedToken(name, special=True, normalized=False) for name in special]
    tokenizer.add_special_tokens([*tokens, AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def tiny_xlm_roberta() -> Tokenizer:
    """SentencePiece's Unigram as transformers 5 sets XLM-R's up, its <mask> behind the vocabulary."""
    tokenizer = tiny_unigram()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    return tokenizer


def tiny_unigram() -> Tokenizer:
    """SentencePiece's Unigram as XLM-R uses it: <s> text </s>."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -4.0 - 0.01 * index) for index, word in enumerate(WORDS)]
    pieces += [(letter, -6.0 - 0.01 * index) for index, letter in enumerate(string.printable[:94])]
    pieces += [("注意", -7.0), ("力", -7.5), ("é", -7.6)]
    ids = {piece: index for index, (piece, _) in enumerate(pieces)}
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=ids["<unk>"]))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ("<s>", "<pad>", "</s>", "<unk>")
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])],
    )
    return tokenizer


def perturb(module: torch.nn.Module, seed: int) -> None:
    """Draw every weight anew so that none is trivial: no gain of 1, no bias of 0."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1 and name.endswith("weight"):
                parameter.copy_(1.0 + 0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(noise * 1.4 * parameter.shape[-1] ** -0.5)


def tiny_checkpoint(
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    n_layers: int = 2,
    d_model: int = 32,
    d_ff: int = 64,
    activation: Activation = "gelu",
    norm: Norm = "post",
    positions: Positions = "learned",
    scale_embeddings: bool = False,
    norm_embeddings: bool = True,
    max_positions: int = 64,
    pooling: Pooling = "mean",
    normalize: bool = True,
    max_tokens: int = 64,
    name: str = "tiny",
    licence: str | None = "apache-2.0",
) -> Checkpoint:
    """A checkpoint of H = 4 for this tokenizer, its weights drawn from the seed."""
    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import EncoderConfig, HeadConfig
    from sestina_model.encoder import TransformerEncoder
    from sestina_model.sentence import SentenceEncoder

    pads = (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
    config = EncoderConfig(
        vocab_size=tokenizer.get_vocab_size(),
        n_layers=n_layers,
        d_model=d_model,
        n_heads=4,
        d_ff=d_ff,
        activation=activation,
        norm=norm,
        positions=positions,
        max_positions=max_positions,
        scale_embeddings=scale_embeddings,
        norm_embeddings=norm_embeddings,
        pad_id=next((pad for pad in pads if pad is not None), 0),
    )
    model = SentenceEncoder(
        TransformerEncoder(config), HeadConfig(pooling=pooling, normalize=normalize, max_tokens=max_tokens)
    )
    perturb(model, seed)
    return Checkpoint(model=model.eval(), tokenizer=tokenizer, name=name, licence=licence, source_sha256=None)


def tiny_bundle(path: Path) -> Path:
    """Export the tiny WordPiece checkpoint to `path`."""
    from sestina_export import export

    return export(tiny_checkpoint(tiny_wordpiece()), path).path
