"""A graph of a bundle: bytes that are held and were looked through, and the sessions made from them.

No session opens a file: what a graph's bytes were at `load` they are for every session after it, whatever has
become of the bundle's directory and of the process's own.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sestina._bundle.graph_rules import check_onnx
from sestina._bundle.mapped import ALIGNMENT, Outline, View, outline
from sestina._bundle.protobuf import Buffer
from sestina._bundle.states_part import states_part
from sestina._process.native import opening

if TYPE_CHECKING:
    import numpy.typing as npt

# Where sessions look for whatever a graph names: here, and here is nothing but an empty file.
_NOWHERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nowhere")
_EMPTY = "weights"
_FOLDER = "session.model_external_initializers_file_folder_path"
_FORMAT = "session.load_model_format"
_ORT_IDENTIFIER = b"ORTM"
_NONE: Mapping[str, Buffer] = MappingProxyType({})


class Graph:
    """A serialised graph, in protobuf or in onnxruntime's own format.

    Args:
        content: Its bytes. Where its weights stay in them they are held, and must stay as they are.
        where: Its name in errors.
        again: Gives the same bytes once more; else they are held.
        weights: The files that may have values of its initializers, by name. They are held, and must stay as
            they are.
        own: Whether a provider made it here of a graph that was checked; else it is checked.

    Raises:
        BundleFormatError, BundleIntegrityError: Where it is not what a bundle may hold.
    """

    def __init__(
        self,
        content: Buffer,
        where: str,
        again: Callable[[], bytes] | None = None,
        weights: Mapping[str, Buffer] = _NONE,
        *,
        own: bool = False,
    ) -> None:
        self.where = where
        self._is_ort = content[4:8] == _ORT_IDENTIFIER  # as onnxruntime tells them apart
        self._outline: Outline | None = None
        self._states_part, self.states_outputs = 0, tuple[str, ...]()
        self._tensors: list[tuple[str, Any, Any]] | None = None
        self._lock = Lock()
        self._stores = False
        if own:
            pass
        elif self._is_ort:
            with opening:
                from sestina._bundle.ort_rules import check_ort  # only here: most bundles have none

            check_ort(content, where)
        else:
            stored = check_onnx(content, where, {name: len(held) for name, held in weights.items()})
            self._outline = outline(content, _EMPTY, stored)
            self._stores = bool(stored)
            self._states_part, self.states_outputs = states_part(content)
        self._content = content if again is None or self.maps else None
        self._weights = weights
        self._again = again

    @property
    def maps(self) -> bool:
        """Whether its weights can stay where they are."""
        return self._outline is not None

    @property
    def has_states_part(self) -> bool:
        """Whether what only outputs of each token need, `states_outputs`, can be left out."""
        return self._states_part > 0

    def names(self, field: bytes) -> bool:
        """Whether these bytes are among those of the graph, its large weights aside."""
        return field in (self._outline.graph if self._outline else self._whole())

    def source(self, options: Any, more: bytes, *, mapped: bool, states: bool = True) -> bytes:
        """What onnxruntime opens.

        Args:
            options: `SessionOptions`, which are told how, and given the weights where they stay in the file.
                They and this graph must outlive the session.
            more: Further bytes of the same message.
            mapped: Whether the weights are to stay there. Those in files of their own are views in any case:
                else of a kind that optimizers can read and rewrite as if the graph had them.
            states: Whether with what only outputs of each token need, where that can be left out.
        """
        end = None if states else -self._states_part or None
        options.add_session_config_entry(_FORMAT, "ORT" if self._is_ort else "ONNX")
        options.add_session_config_entry(_FOLDER, _folder())
        if self._outline is None or not (mapped or self._stores):
            return self._whole()[:end] + more
        with self._lock:  # options only refer to the values, so they are made once
            held = self._held(self._outline.views)
        if mapped:
            for name, _, value in held:
                options.add_initializer(name, value)
        else:
            options.add_external_initializers([name for name, _, _ in held], [value for _, _, value in held])
        return self._outline.graph[:end] + more  # the part is as long there: it has no weights

    def settle(self) -> None:
        """Let go of the pages that a session has read to prepare its weights: the file still has them."""
        if self._outline and hasattr(mmap, "MADV_DONTNEED"):
            for content in (self._content, *self._weights.values()):
                if isinstance(content, mmap.mmap):
                    content.madvise(mmap.MADV_DONTNEED)

    def _whole(self) -> bytes:
        if self._content is not None:
            return self._content[:]
        return self._again() if self._again else b""

    def _held(self, views: Iterable[View]) -> list[tuple[str, Any, Any]]:
        """Name, numpy's view and onnxruntime's view of each initializer that stays where it is."""
        if self._tensors is None:
            with opening:
                import numpy as np  # not before a session is opened: this module is read at every start

                from sestina._onnxruntime import onnxruntime

            tensors = []
            for view in views:
                content = self._weights[view.file] if view.file else self._content
                array: npt.NDArray[Any] = np.ndarray(view.shape, view.dtype, content, view.begin)
                if view.file and array.ctypes.data % ALIGNMENT:  # read, where files cannot be mapped
                    array = _moved(np, array)
                if array.ctypes.data % ALIGNMENT:
                    raise ValueError("the weights are not aligned in memory")
                value = onnxruntime().OrtValue.ortvalue_from_numpy(array)
                tensors.append((view.name, array, value))
            self._tensors = tensors
        return self._tensors


def _moved(np: Any, array: Any) -> Any:
    """The same values, aligned."""
    room = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    at = -room.ctypes.data % ALIGNMENT
    moved = room[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _folder() -> str:
    try:
        _NOWHERE.encode()
    except UnicodeEncodeError:  # onnxruntime reads paths as UTF-8; there is nothing below a device either
        return os.devnull
    return _NOWHERE
