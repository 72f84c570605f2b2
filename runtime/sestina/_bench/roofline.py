"""The floor under an encoder's time: its matrix products alone, at the rate their kernel reaches here.

One text of S tokens takes, in each layer, four products with (D, D) weights, one with (D, F), one with
(F, D), and two between tokens for every head. Each shape is timed alone on all threads at once, as a
corpus run uses them, and the times are added up. What an encoder does besides is not free, so one that uses
the same kernel stays above this floor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_ROWS = 512  # tokens that go through a product together: enough for the kernel's full rate


@dataclass(frozen=True, slots=True)
class Product:
    """(..., M, K) times (..., K, N), so often in one text; `constant`: the right side is weights."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    times: int
    constant: bool

    @property
    def flop(self) -> int:
        """Of one product, a multiplication and an addition counted as two."""
        return 2 * int(np.prod(self.left)) * self.right[-1]


def products(encoder: dict[str, int], tokens: int, batch: int) -> list[Product]:
    """The matrix products of a batch of texts of one length.

    Args:
        encoder: `n_layers`, `d_model`, `n_heads` and `d_ff`.
        tokens: S.
        batch: B.
    """
    layers, width, heads, inner = (encoder[key] for key in ("n_layers", "d_model", "n_heads", "d_ff"))
    rows, head = batch * tokens, width // heads
    return [
        Product((rows, width), (width, width), 4 * layers, constant=True),
        Product((rows, width), (width, inner), layers, constant=True),
        Product((rows, inner), (inner, width), layers, constant=True),
        Product((batch, heads, tokens, head), (batch, heads, head, tokens), layers, constant=False),
        Product((batch, heads, tokens, tokens), (batch, heads, tokens, head), layers, constant=False),
    ]


def gemm_seconds(
    encoder: dict[str, int], tokens: int, precision: str, threads: int, seconds: float
) -> dict[str, Any]:
    """Measure the floor for texts of one length.

    Args:
        encoder: As for `products`.
        tokens: As for `products`.
        precision: "int8" times 8-bit products with weights; all else, and attention, is float32.
        threads: Products that run at once, each on one thread.
        seconds: How long each shape is timed.

    Returns: `seconds` per text on all threads, `gflop_per_s` that this amounts to, and the `kernel`.
    """
    batch = max(1, _ROWS // tokens)
    total, flop, kernel = 0.0, 0, ""
    for product in products(encoder, tokens, batch):
        run, name = _kernel(product, int8=precision == "int8" and product.constant)
        kernel = kernel or name
        total += product.times * _seconds_each(run, threads, seconds)
        flop += product.times * product.flop
    return {"seconds": total / batch, "gflop_per_s": flop / total / 1e9, "kernel": kernel}


def _kernel(product: Product, *, int8: bool) -> tuple[Callable[[], object], str]:
    """A function that computes the product once on the calling thread, and what it calls."""
    draw = np.random.default_rng(0)
    left = draw.standard_normal(product.left, dtype=np.float32)
    right = draw.standard_normal(product.right, dtype=np.float32)
    try:
        import onnx  # noqa: TID251  only builds the one-node graph; without it numpy's kernel stands in
    except ModuleNotFoundError:
        return (lambda: np.matmul(left, right)), "numpy matmul, float32"
    import onnxruntime

    operator, kinds = ("MatMulInteger", (np.uint8, np.int8)) if int8 else ("MatMul", (np.float32, np.float32))
    if int8:
        left, right = (32 * np.abs(left)).clip(0, 255), (32 * right).clip(-63, 63)
    values = {"A": left.astype(kinds[0]), "B": right.astype(kinds[1])}
    # Weights are part of the graph, so that the kernel may pack them once, as it does in an encoder.
    constants = {"B": values.pop("B")} if product.constant else {}
    helper, numbers = onnx.helper, onnx.numpy_helper
    kind = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in values.items()}
    out = onnx.TensorProto.INT32 if int8 else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(operator, ["A", "B"], ["C"])],
        "product",
        [helper.make_tensor_value_info(name, kind[name], value.shape) for name, value in values.items()],
        [helper.make_tensor_value_info("C", out, None)],
        [numbers.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return (lambda: session.run(None, values)), f"onnxruntime {operator}"


def _seconds_each(run: Callable[[], object], threads: int, seconds: float) -> float:
    """Seconds per call when so many threads call at once: the time in which all of them do one, shared."""
    run()
    counts = [0] * threads
    deadline = time.perf_counter() + seconds

    def work(place: int) -> None:
        while time.perf_counter() < deadline:
            run()
            counts[place] += 1

    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - begin) / max(1, sum(counts))
