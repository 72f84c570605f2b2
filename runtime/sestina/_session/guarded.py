"""onnxruntime's session, so that forks and the interpreter's end do no harm to what uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sestina._process.fork import Inheritance, check_process, never_destroy, this_process, watch_forks
from sestina._process.native import calling, opening

if TYPE_CHECKING:
    from sestina._arrays import Vectors


class GuardedSession:
    """An `InferenceSession`, in a forked child neither run nor destroyed: both wait for the parent's threads.

    Args:
        make: Makes it.
        quick: Whether a fork may wait for that. Some providers compile for minutes.

    Attributes:
        native: The session.

    Raises:
        ForkError: In a child that was forked meanwhile, as `run`.
    """

    def __init__(self, make: Callable[[], Any], *, quick: bool) -> None:
        self._process = this_process()
        self.native: Any = None
        watch_forks(self)
        with opening if quick else calling:
            self.native = make()
        if self._process is not this_process():
            self.after_fork()
            check_process(self._process)

    def run(self, call: Callable[[Any], list[Vectors]]) -> list[Vectors]:
        """What a call of the session gives, in memory of numpy's.

        That of onnxruntime goes back to the session, under a lock that some thread of the parent may hold
        when a child is forked: the child could not let go of a vector.
        """
        check_process(self._process)
        with calling:
            results = call(self.native)
        for at, result in enumerate(results):
            own = result.copy() if hasattr(result, "copy") else result  # what is no array is refused later
            if self._process is not this_process():
                never_destroy(result)
            results[at] = own
        check_process(self._process)
        return results

    def after_fork(self) -> None:
        """In a child: keep it for ever, and let no call reach it that is in onnxruntime's Python already."""
        inner = getattr(self.native, "_sess", None)
        if self.native is None or isinstance(inner, Inheritance):
            return
        never_destroy(self.native)
        if inner is not None:
            never_destroy(inner)
            self.native._sess = Inheritance()
