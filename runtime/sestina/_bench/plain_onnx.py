"""The ONNX file that users of other runtimes have: transformers' model as Optimum exports it.

Inputs `input_ids`, `attention_mask` (and `token_type_ids` where the model has more than one type), output
`last_hidden_state`; batch and length dynamic. Attention is written out, which is the form that the graph
optimisers of onnxruntime and OpenVINO recognise: their best case.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_OPSET = 14  # the lowest that has every operator of these models, and what Optimum takes for them


def plain_onnx(source: str, folder: str) -> Path:
    """Export the checkpoint once; whoever asks again gets the same file."""
    path = Path(folder) / "plain.onnx"
    if path.exists():
        return path
    import torch  # noqa: TID251  in the process that prepares a peer
    import transformers  # noqa: TID251

    model = transformers.AutoModel.from_pretrained(
        source, attn_implementation="eager", dtype=torch.float32, local_files_only=True
    ).eval()
    names = input_names(source)

    class LastHiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> Any:
            return self.model(**dict(zip(names, values, strict=True))).last_hidden_state

    ids = torch.ones(2, 7, dtype=torch.int64)
    example = tuple(torch.zeros_like(ids) if name == "token_type_ids" else ids for name in names)
    unfinished = path.with_suffix(".tmp")
    torch.onnx.export(
        LastHiddenState(),
        example,
        str(unfinished),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={
            name: {0: "batch_size", 1: "sequence_length"} for name in [*names, "last_hidden_state"]
        },
        opset_version=_OPSET,
        dynamo=False,  # as Optimum
    )
    unfinished.rename(path)
    return path


def input_names(source: str) -> list[str]:
    """What the exported graph takes."""
    config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    types = config.get("type_vocab_size", 0) > 1
    return ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]


def place(file: Path, target: Path) -> None:
    """The file under another name, without copying where the file system allows it."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)
