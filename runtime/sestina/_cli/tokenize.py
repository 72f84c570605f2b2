"""`sestina tokenize`: what an encoder reads of a text."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sestina._cli import arguments, options, printing
from sestina._cli.pieces import readable
from sestina._errors import BundleFormatError, InputError
from sestina._text.prompt import Prompts

if TYPE_CHECKING:
    from sestina._bundle.manifest import TextContract
    from sestina._text.tokenizer import Tokenizer, Tokens

_EPILOG = """\
BUNDLE may also be the tokenizer.json of any tokenizer; then there is no limit.

Example:
  sestina tokenize "the Transformer is an innovative NLP model !"

Marks of word boundaries are left aside, bytes that are no character by themselves are shown as \\xf0, and
special tokens as they are. --json gives every token as the vocabulary spells it, with its id and the
characters [begin, end) of the text that it stands for, of prompt and text where a prompt stands before it.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "tokenize", "show the tokens of a text", _EPILOG)
    arguments.add_arguments(parser, "TEXT [TEXT ...]", "texts to tokenize")
    options.add_prompt(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tokenize and print."""
    texts = arguments.argument_texts(arguments.take_bundle(args, 1))
    tokenizer, description, contract = _open(options.bundle_path(args))
    limit = None if contract.max_tokens == _NO_LIMIT else contract.max_tokens
    prompts = Prompts(contract.prompts, contract.default_prompt)
    prompt = prompts.choose(args.prompt, args.prompt_text).text
    found = [tokenizer.tokens(prompt + text.value)._replace(prompt=prompt) for text in texts]
    if args.json:
        documents = [_document(text.value, tokens) for text, tokens in zip(texts, found, strict=True)]
        printing.say_json({"max_tokens": limit, "texts": documents})
        return 0
    for tokens in found:
        printing.say(" | ".join(readable(tokens.tokens, description)))
        count = f"{len(tokens.ids)} token{'' if len(tokens.ids) == 1 else 's'}"
        count += f" with the prompt {prompt!r}" if prompt else ""
        if tokens.truncated:
            printing.say(f"{count}, the limit: truncated, the rest of the text is not read")
        else:
            printing.say(count if limit is None else f"{count}, within the limit of {limit}")
    return 0


def _open(path: Path) -> tuple[Tokenizer, dict[str, Any], TextContract]:
    """The tokenizer, its JSON, and what applies to its texts. The graph is not loaded for this."""
    from sestina._bundle.bundle import Bundle
    from sestina._bundle.manifest import TOKENIZER, TextContract
    from sestina._text.tokenizer import Tokenizer

    if not path.is_file():
        bundle = Bundle(path)
        content, contract = bundle.read(TOKENIZER), bundle.manifest.contract
        return Tokenizer(content, contract.max_tokens), json.loads(content), contract
    try:
        content = path.read_bytes()
        description = json.loads(content)
        if not isinstance(description, dict) or "model" not in description:
            raise InputError(f"{path} is neither a bundle nor a tokenizer.json: it has no member 'model'")
        return Tokenizer(content, _NO_LIMIT), description, TextContract(_NO_LIMIT, "mean", True, 1)
    except BundleFormatError as error:
        why = str(error).removeprefix("tokenizer.json cannot be read: ")
        raise InputError(f"{path} is not a tokenizer.json that can be read: {why}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is neither a bundle nor a tokenizer.json: {error}") from None


_NO_LIMIT = (1 << 31) - 1  # tokens; no text comes near it


def _document(text: str, tokens: Tokens) -> dict[str, Any]:
    return {
        "text": text,
        **({"prompt": tokens.prompt} if tokens.prompt else {}),
        "count": len(tokens.ids),
        "truncated": tokens.truncated,
        "tokens": [
            {"id": id_, "token": token, "offsets": list(offsets)}
            for id_, token, offsets in zip(tokens.ids, tokens.tokens, tokens.offsets, strict=True)
        ],
    }
