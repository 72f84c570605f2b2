"""The texts that every bundle is proved on, wherever it is loaded."""

from __future__ import annotations

from tokenizers import Tokenizer

__all__ = ["golden_texts"]

_TEXTS: tuple[tuple[str, str], ...] = (
    ("empty", ""),
    ("spaces", "   "),
    ("one-letter", "a"),
    ("one-word", "hello"),
    ("sentence", "The quick brown fox jumps over the lazy dog."),
    ("reference", "the Transformer is an innovative NLP model !"),
    ("question", "Which encoder relates each token of a sequence to all the others?"),
    ("upper-case", "SHOUTING IS NOT AN ARGUMENT"),
    ("accents", "Él comió piñata; la fête à Noël, naïve café, Ærøskøbing, Łódź, İstanbul"),
    ("combining", "e\u0301 and a\u030a are letters with marks of their own"),
    ("ligatures", "ﬁne oﬃce, №5, ½ cup, x² + y², Ⅳ"),
    ("full-width", "ＡＢＣ１２３　ｆｕｌｌ　ｗｉｄｔｈ"),
    ("chinese", "注意力机制把序列中的每个词联系起来。"),
    ("japanese", "ベクトルは、文の意味を表します。"),
    ("korean", "문장을 벡터로 바꿉니다."),
    ("arabic", "التعلم العميق يغير العالم، أليس كذلك؟"),
    ("hebrew", "שָׁלוֹם עוֹלָם"),
    ("hindi", "ध्यान ही आपको चाहिए"),
    ("thai", "ข้อความถูกแปลงเป็นเวกเตอร์"),
    ("russian", "Трансформер — это модель внимания."),
    ("greek", "Η προσοχή είναι το μόνο που χρειάζεστε"),
    ("emoji", "great 👍 really 😀😀"),
    ("emoji-joined", "👩‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 🇩🇪 ❤️"),
    ("control", "tab\tnew\nline\r\nnull\x00bell\x07delete\x7f"),
    ("zero-width", "zero\u200bwidth\u200djoin\ufeffmark\u00adhyphen"),
    ("line-separators", "one\u2028two\u2029three\u0085four"),
    ("private-use", "\ue000\uf8ff\U000f0000 \ufffd \U0010fffd"),
    ("long-word", "pneumonoultramicroscopicsilicovolcanoconiosis" * 3),
    ("very-long-word", "x" * 2000),
    ("code", "def f(x: int) -> int:\n    return {'a': x ** 2}['a']  # O(1)"),
    ("markup", '<a href="https://example.org/?q=1&amp;r=2">link</a> \\(x_{1}\\)'),
    ("numbers", "3.14159, -273.15, 1,000,000, 0x1F, 6.022e23, 2017-06-12, 50%"),
    ("punctuation", "?!... --- “quoted” ‘single’ «guillemets» § ¶ † ‡ • …"),
    ("special-tokens", "[CLS] [SEP] [PAD] [MASK] <s> </s> <pad> <unk> <mask>"),
    ("repeated", "ha " * 40),
)

_FILLERS = ("the", "a", "of", "in", "1", "x", ".", "e")


def golden_texts(tokenizer: Tokenizer, max_tokens: int) -> list[tuple[str, str]]:
    """(name, text) pairs: the fixed ones, and texts just below, at and beyond the length limit.

    Args:
        tokenizer: Without truncation.
        max_tokens: The limit, special tokens included.
    """
    texts = list(_TEXTS)
    special = tokenizer.num_special_tokens_to_add(False)
    filler = _one_token_word(tokenizer)
    if filler is not None:
        room = max_tokens - special
        for name, count in (
            ("below-limit", room - 1),
            ("at-limit", room),
            ("over-limit", room + 1),
            ("far-over-limit", 3 * room + 7),
        ):
            if count > 0:
                texts.append((name, " ".join([filler] * count)))
    else:
        texts.append(("far-over-limit", "the quick brown fox " * max_tokens))
    return texts


def _one_token_word(tokenizer: Tokenizer) -> str | None:
    """A word of which n repetitions, with spaces between, are n tokens."""
    for word in _FILLERS:
        counts = [
            len(tokenizer.encode(" ".join([word] * n), add_special_tokens=False).ids) for n in (1, 2, 9)
        ]
        if counts == [1, 2, 9]:
            return word
    return None
