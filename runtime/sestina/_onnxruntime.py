"""onnxruntime, imported so that it sends nothing, and the options that every session of ours has."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

from sestina._errors import ProviderError
from sestina._handlers import let_through
from sestina._process.native import opening
from sestina._process.startable import check_startable


def onnxruntime() -> Any:
    """The module, with its telemetry off.

    Since 1.31 its wheels collect usage events and upload them, from the moment they are imported. Only the
    environment, and only before the import, keeps them from beginning.

    Raises:
        ProviderError: In a sub-interpreter, where its import would wait for ever.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with opening:
        if "onnxruntime" not in sys.modules and not _in_main_interpreter():
            raise ProviderError(
                "onnxruntime works in the main interpreter of a process alone, and this is another: encode "
                "there (of mod_wsgi: WSGIApplicationGroup %{GLOBAL}), or in another process"
            )
        import onnxruntime as module

    module.disable_telemetry_events()  # where the application imported it before us
    return module


def _in_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        with contextlib.suppress(ImportError), opening:
            module = importlib.import_module(name)
            return bool(module.get_current() == module.get_main())
    return True


def session_options(threads: int) -> Any:
    """`SessionOptions` for a graph as our exporter writes it.

    Args:
        threads: Threads that share each node of a run.

    Raises:
        ProviderError: Where this process cannot have so many.
    """
    module = onnxruntime()
    check_startable(threads - 1)  # the first is whoever runs it
    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised
    # The exporter wrote the graph as it is to run; onnxruntime's own fusions would only undo that
    # (SkipLayerNormalization is a scalar loop on x86) and cost time at every start.
    options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_mem_pattern = False  # patterns are kept per shape, and every batch has another
    # How long a thread of the pool waits actively for its next share of a node. Between the nodes of one
    # run that is microseconds; after a run it is all that is left spinning.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "500")
    return options


def line(error: BaseException) -> str:
    """What onnxruntime says, in one line of bounded length; raises what is not its own."""
    let_through(error)
    return " ".join(str(error).split())[:300] or type(error).__name__
