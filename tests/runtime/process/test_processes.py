"""Forks, and the interpreter's end: each in a process of its own, where a hang is a failure."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sestina
from _unmeasured import unmeasured
from sestina._process import fork

PRELUDE = """
import atexit, gc, os, signal, sys, threading, time, warnings
import numpy as np
warnings.simplefilter("ignore")
BUNDLE = sys.argv[1]
TEXTS = [f"{'model ' * (number % 23)}{number}" for number in range(900)]

def right(vectors, wanted, least=1):
    assert len(vectors) == len(wanted) >= least, len(vectors)
    assert np.abs(np.array(vectors) - wanted).max() < 1e-6

def reap(child, wanted=7):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == wanted, os.waitstatus_to_exitcode(status)
            return
        time.sleep(0.005)
    os.kill(child, 9)
    sys.exit("the child hangs")
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def program(code: str, bundle: Path, *, prelude: str = PRELUDE, returncode: int = 0) -> str:
    """What a program prints that must end within a minute, with this code and without a crash."""
    done = subprocess.run(
        [sys.executable, "-c", prelude + code, str(bundle)],
        capture_output=True, text=True, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert done.returncode == returncode, done.stderr
    assert "Traceback" not in done.stderr or "Python is ending" in done.stderr, done.stderr
    return done.stdout


# Modules of the runtime in which an import within a function may stand outside of `with opening:`, and why.
COMMANDS = {"__main__.py", "_cli", "_bench", "_trial.py"}  # processes of their own, which nobody forks
LOADED = {
    ("fork.py", "ctypes"),  # numpy has imported it, and a child must not be refused there
    ("sentence_transformers.py", "torch"),  # whoever asks an integration for a tensor has it
    # The driver of the command for Ray, a process of its own: Ray starts others beside these imports.
    ("cluster.py", "importlib.import_module(module)"),
    ("pipeline.py", "ray.data"),
    ("pipeline.py", "ray.data.checkpoint"),
    ("pipeline.py", "sestina.integrations._ray.source"),
    ("table.py", "pandas"),
}


def late_imports(tree: ast.AST, guarded: bool = True) -> Iterator[str]:
    """What is imported within functions, by statement or by call, and outside of `with opening:`."""
    for node in ast.iter_child_nodes(tree):
        inside = guarded
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = False
        elif isinstance(node, ast.With):
            names = {ast.unparse(item.context_expr).rpartition(".")[2] for item in node.items}
            inside = guarded or "opening" in names
        elif not guarded and isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif not guarded and isinstance(node, ast.ImportFrom):
            yield str(node.module)
        elif not guarded and isinstance(node, ast.Call) and _imports(node):
            yield ast.unparse(node)
        yield from late_imports(node, inside)


def _imports(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in ("import_module", "__import__")


def test_a_fork_waits_for_every_import_within_a_function() -> None:
    """Else a child that is forked just then hangs on the module's lock as soon as it imports the same."""
    root = Path(sestina.__file__).parent
    found = {
        (path.name, name)
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in COMMANDS
        for name in late_imports(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == LOADED


@pytest.mark.parametrize(
    "code, found",
    [
        ("import a\nif b:\n from c import d", []),
        ("def f():\n import a.b, c\n with opening: import d", ["a.b", "c"]),
        ("def f():\n with x, _native.opening:\n  if a: from b import c", []),
        ("class A:\n def f(self):\n  try:\n   from a.b import c\n  except E: pass", ["a.b"]),
        ("with opening:\n def f(): import a", ["a"]),
        ("f = lambda: importlib.import_module('a')", ["importlib.import_module('a')"]),
        ("async def f():\n with opened: __import__('a')", ["__import__('a')"]),
    ],
)
def test_late_imports_are_found(code: str, found: list[str]) -> None:
    assert list(late_imports(ast.parse(code))) == found


def test_a_thread_goes_on_after_the_main_thread_has_ended(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
wanted = np.array([encoder.encode(text) for text in TEXTS])
def work():
    threading.main_thread().join()
    time.sleep(0.1)
    right(encoder.encode(TEXTS), wanted)
    right(list(encoder.stream(TEXTS)), wanted)
    with sestina.load(BUNDLE, threads=2) as another:
        right(another.encode(TEXTS), wanted)
        another.explain("model"), another.report()
    print("right")
threading.Thread(target=work).start()
"""
    assert program(code, bundle) == "right\n"


@pytest.mark.parametrize("work", [
    "encoder.encode('model tokens ' * 30)",
    "encoder.encode(TEXTS[:200])",
    "next(encoder.stream(TEXTS))",
    "encoder.tokenize('model tokens ' * 3000)",
    "sestina.load(BUNDLE)",
])  # fmt: skip
def test_daemon_threads_crash_no_program_that_ends(work: str, bundle: Path) -> None:
    """The native code that they come back to would abort the process."""
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
def forever():
    try:
        while True: {work}
    except sestina.ClosedError as error: assert str(error).startswith("Python is ending"), error
for _ in range(3): threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
print(time.time(), flush=True)
"""
    for _ in range(3):
        ended = program(code, bundle)
        assert time.time() - float(ended) < 5


def test_handlers_of_atexit_encode_before_and_after_ours(bundle: Path) -> None:
    code = """
def early():
    right([encoder.encode("model")], wanted[:1])
    right(encoder.encode(texts), wanted)
    right(list(stream), wanted[2:])
    with sestina.load(BUNDLE, threads=2) as another: right(another.encode(texts), wanted)
    print("early")
def late():
    right(encoder.encode(texts), wanted)
    right([next(stream)], wanted[1:2])
    with sestina.load(BUNDLE, threads=2) as another: right(another.encode(texts), wanted)
    print("late")
atexit.register(early)  # called after what is registered later
import sestina
from sestina._process import fork
atexit.register(late)
encoder = sestina.load(BUNDLE, threads=2)
texts = ["model", *TEXTS]
wanted = np.array([encoder.encode(text) for text in texts])
stream = encoder.stream(texts)
right([next(stream)], wanted[:1])
"""
    assert program(code, bundle) == "late\nearly\n"


def test_destructors_at_the_end_get_vectors_or_an_error_of_ours(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
class Last:
    def __init__(self):
        self.encoder = sestina.load(BUNDLE, threads=2)
        self.wanted, self.stream = self.encoder.encode(TEXTS), self.encoder.stream(TEXTS)
        self.right, self.texts, self.load, self.ours = right, TEXTS, sestina.load, sestina.SestinaError
        next(self.stream)
    def __del__(self):
        right, encoder, texts, wanted = self.right, self.encoder, self.texts, self.wanted
        right(encoder.encode(texts), wanted)
        for work in (
            lambda: right(list(self.stream), wanted[1:]), lambda: right([encoder.encode(texts[0])], wanted[:1]),
            lambda: self.load(encoder._bundle.path), lambda: encoder.explain("a"), encoder.report, encoder.verify,
        ):
            try: work()
            except self.ours: pass
        encoder.close()
        print("right")
last = Last()
right(last.wanted, last.wanted)  # numpy too imports some things when they are first used
circle = [Last()]
circle.append(circle)
"""
    assert program(code, bundle) == "right\nright\n"


@pytest.mark.parametrize("end, code", [("sys.exit(5)", 5), ("os._exit(6)", 6)])
def test_leaving_from_within_a_callback(end: str, code: int, bundle: Path) -> None:
    program(f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
for _ in encoder.stream(TEXTS, on_progress=lambda count: {end}): pass
""", bundle, returncode=code)  # fmt: skip


def test_a_finished_program_ends_at_once(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
encoder.encode("a"), encoder.encode(TEXTS)
assert sum(thread.name.startswith("sestina") for thread in threading.enumerate()) == 2
print(time.time(), flush=True)
"""
    assert time.time() - float(program(code, bundle)) < 2


def test_without_threads_the_caller_does_the_work(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
from sestina._process import background as _aside
with sestina.load(BUNDLE, threads=2) as encoder: wanted = encoder.encode(TEXTS)
def none(*_): raise RuntimeError("can't start new thread")
threading.Thread.start = _aside.start_new_thread = none
with sestina.load(BUNDLE, threads=2) as encoder:
    done = []
    right(encoder.encode(TEXTS), wanted)
    right(list(encoder.stream(TEXTS, on_progress=done.append)), wanted)
    assert sum(done) == len(TEXTS)
    assert encoder.verify().passed
assert threading.active_count() == 1
"""
    program(code, bundle)


def test_nothing_keeps_an_encoder_that_nobody_holds(bundle: Path) -> None:
    code = """
import weakref, sestina
gc.disable()
encoder = sestina.load(BUNDLE, threads=2)
encoder.encode(TEXTS)
stream = encoder.stream(TEXTS * 20)
next(stream)
weights = weakref.ref(encoder._engine.sessions().shared())
stream.close()
del encoder, stream
until = time.monotonic() + 5
while weights() is not None or threading.active_count() > 1:
    assert time.monotonic() < until, (weights(), threading.enumerate())
    time.sleep(0.01)
"""
    program(code, bundle)


def test_a_signal_handler_may_close_at_any_moment(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
for moment in range(1, 40):
    encoder = sestina.load(BUNDLE, threads=2)
    signal.signal(signal.SIGALRM, lambda *_: encoder.close())
    signal.setitimer(signal.ITIMER_REAL, moment * 0.0007)
    try:
        for _ in range(100): encoder.encode(TEXTS[:300]), encoder.encode("a")
    except sestina.ClosedError: continue
    sys.exit("it was never closed")
"""
    if hasattr(os, "fork"):  # as there are such signals
        program(code, bundle)


@forks
@pytest.mark.parametrize("count, threads", [(3, 2), (256, 2), (900, 2), (900, 1)])
def test_a_child_that_goes_on_with_a_stream(count: int, threads: int, bundle: Path) -> None:
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads={threads})
texts = TEXTS[:{count}]
wanted = encoder.encode(texts)
for taken in sorted({{0, 1, 2, 255, 256, 257, {count} - 1}} & set(range({count}))):
    given = []
    stream = encoder.stream(text for text in texts if not given.append(text))
    begun = [next(stream) for _ in range(taken)]
    child = os.fork()
    if not child:
        before = len(given)
        for use in (next, next, list, next):
            try: use(stream)
            except sestina.ForkError: pass
            else: os._exit(1)
        if len(given) > before: os._exit(2)  # the parent's file would have lost them
        stream.close(); del stream
        encoder.close(); del encoder
        gc.collect()
        sys.exit(7)
    reap(child)
    right([*begun, *stream], wanted)
"""
    program(code, bundle)


@forks
@pytest.mark.parametrize("use", [
    "encoder.encode('a')", "encoder.encode(['a', 'b'])", "encoder.encode([])", "encoder.stream(['a'])",
    "encoder.hidden_states('a')", "encoder.tokenize('a')", "encoder.explain('a')", "encoder.verify()",
    "encoder.report()", "encoder.similarity('a', 'b')",
])  # fmt: skip
def test_a_child_and_its_child_are_refused_whatever_others_do_meanwhile(use: str, bundle: Path) -> None:
    """While a thread of the parent encodes, others open sessions and load, and the child loads its own."""
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2, on_fork="error")
wanted = encoder.encode(TEXTS)
ended = False
def encoding():
    while not ended: right(encoder.encode(TEXTS), wanted)
def loading():
    while not ended:
        with sestina.load(BUNDLE, threads=2) as another: another.encode(["a"]), another.explain("b")
threads = [threading.Thread(target=work) for work in (encoding, loading)]
for thread in threads: thread.start()
def refused():
    try: {use}
    except sestina.ForkError as error: assert "fork" in str(error)
    else: os._exit(1)
for delay in (0.0, 0.003, 0.01, 0.03, 0.05):
    time.sleep(delay)
    child = os.fork()
    if not child:
        refused()
        with sestina.load(BUNDLE, threads=2, on_fork="error") as own:
            right(own.encode(TEXTS), wanted)
            own.encode("a")
            grandchild = os.fork()
            if not grandchild:
                refused()
                try: own.encode("a")
                except sestina.ForkError: sys.exit(8)
                sys.exit(1)
        reap(grandchild, 8)
        sys.exit(7)
    reap(child)
ended = True
for thread in threads: thread.join()
right(encoder.encode(TEXTS), wanted)
"""
    program(code, bundle)


@forks
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_a_child_forked_during_the_first_load_can_load(delay: float, bundle: Path) -> None:
    """It would inherit the locks of modules that are half imported."""
    code = f"""
import os, sys, threading, time
import sestina
from sestina._process import fork
def work():
    with sestina.load(sys.argv[1], threads=2) as encoder: encoder.encode("a"), encoder.encode(["a", "b"])
thread = threading.Thread(target=work)
thread.start()
time.sleep({delay})
child = os.fork()
if not child:
    work()
    os._exit(7)
thread.join()
for _ in range(3000):
    done, status = os.waitpid(child, os.WNOHANG)
    if done: sys.exit(os.waitstatus_to_exitcode(status) - 7)
    time.sleep(0.005)
os.kill(child, 9); sys.exit("the child hangs")
"""
    program(code, bundle, prelude="")


@forks
def test_a_child_that_cannot_load_says_so(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
from sestina._process import native as _native
with sestina.load(BUNDLE, threads=2) as encoder: wanted = encoder.encode(TEXTS)
_native._FORK_S = 0.05
def slow():
    with _native.opening: time.sleep(1)
thread = threading.Thread(target=slow)
thread.start()
time.sleep(0.1)
begun = time.monotonic()
child = os.fork()
if not child:
    try: sestina.load(BUNDLE)
    except sestina.ForkError as error: assert "another thread was loading" in str(error)
    else: os._exit(1)
    sys.exit(7)
assert 0.04 < time.monotonic() - begun < 0.9
reap(child)
with sestina.load(BUNDLE, threads=2) as encoder: right(encoder.encode(TEXTS), wanted)
thread.join()
"""
    program(code, bundle)


@forks
@pytest.mark.parametrize("where", ["progress", "texts"])
def test_a_callback_that_forks(where: str, bundle: Path) -> None:
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
wanted = encoder.encode(TEXTS)
for at in (1, 200, 255, 256, 600, 899):
    parent, child, count = os.getpid(), None, 0
    def tick(step):
        global child, count
        if count < at <= count + step: child = os.fork()
        count += step
    def counted():
        for text in TEXTS:
            tick(1)
            yield text
    stream = encoder.stream(TEXTS, on_progress=tick) if "{where}" == "progress" else encoder.stream(counted())
    vectors = []
    try: vectors.extend(stream)
    except sestina.ForkError:
        if os.getpid() == parent: raise
        sys.exit(7 if count <= at + 300 else 1)
    if os.getpid() != parent: os._exit(2)
    reap(child)
    right(vectors, wanted)
"""
    program(code, bundle)


@forks
@pytest.mark.parametrize("work", [
    "encoder.encode(TEXTS[:300])",
    "list(encoder.stream(TEXTS[:300]))",
    "[encoder.encode(text) for text in TEXTS[:300]]",
    "fresh().encode(TEXTS[:300])",
])  # fmt: skip
def test_a_signal_handler_that_forks_anywhere(work: str, bundle: Path) -> None:
    """The child returns into what the parent was about: that is refused, or right, and never waited for."""
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2, on_fork="error")
wanted = encoder.encode(TEXTS[:300])
encoder.encode("a")
def fresh():  # whose sessions are opened again
    encoder._engine.sessions()._shared = encoder._engine.sessions()._alone = None
    return encoder
def fork(*_):
    global child
    if os.getpid() == parent: child = os.fork()
parent = os.getpid()
signal.signal(signal.SIGALRM, fork)
begun = time.monotonic()
{work}
lasts = time.monotonic() - begun
for moment in range(40):
    child = None
    signal.setitimer(signal.ITIMER_REAL, (moment + 0.5) / 40 * lasts)
    try: vectors = {work}
    except sestina.ForkError:
        if os.getpid() == parent: raise
        sys.exit(7)
    signal.setitimer(signal.ITIMER_REAL, 0)
    right(vectors, wanted)
    if os.getpid() != parent:  # after all work was done
        try: encoder.encode("a")
        except sestina.ForkError: sys.exit(7)
        sys.exit(1)
    if child: reap(child)
"""
    program(code, bundle)


@forks
def test_pools_of_processes(bundle: Path) -> None:
    code = """
import multiprocessing, sestina
encoder = sestina.load(BUNDLE, threads=2, on_fork="error")
wanted = encoder.encode(TEXTS)
def inherited(text):
    return encoder.encode(text)
def load():
    global own
    own = sestina.load(BUNDLE, threads=2)
def loaded(texts):
    return own.encode(texts)
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    try: pool.map(inherited, TEXTS[:4])
    except sestina.ForkError: pass
    else: sys.exit("it must be refused")
    pool.close(); pool.join()
with context.Pool(2, load) as pool:
    right(np.concatenate(pool.map(loaded, [TEXTS[:450], TEXTS[450:]])), wanted)
    pool.close(); pool.join()
right(encoder.encode(TEXTS), wanted)
"""
    program(code, bundle)


def test_no_vector_is_held_in_memory_of_a_session(encoder: sestina.Encoder) -> None:
    """A child that lets go of one would wait for whoever was giving back another when it was forked."""
    explanation = encoder.explain("a model")
    for vector in (encoder.encode("a"), encoder.encode(["a"]), *encoder.stream(["a"]), explanation.vector,
                   explanation.attention, *encoder.hidden_states("a")):  # fmt: skip
        owner: object = vector
        while isinstance(owner, np.ndarray):
            owner = owner.base
        assert owner is None


def test_no_interrupt_is_lost_where_something_watched_is_let_go() -> None:
    """Python raises nothing out of what runs while an object goes: a Ctrl-C that comes there would be dropped."""

    class Watched:
        def after_fork(self) -> None: ...

    def made() -> Watched:
        fork.watch_forks(thing := Watched())
        return thing

    def called_at_its_end() -> list[str]:
        found: list[str] = []
        thing = made()
        sys.setprofile(
            lambda frame, event, _: found.append(frame.f_code.co_name) if event == "call" else None
        )
        del thing
        sys.setprofile(None)
        return found

    before = len(fork._living)
    kept = made()
    assert len(fork._living) == before + 1
    assert called_at_its_end() == []
    assert len(fork._living) == before + 1
    del kept
    assert len(fork._living) == before


@forks
@pytest.mark.parametrize("use", [
    "encoder.encode('a')", "encoder.encode(['a', 'b'])", "encoder.encode([])", "encoder.stream(['a'])",
    "encoder.hidden_states('a')", "encoder.tokenize('a')", "encoder.explain('a')", "encoder.verify()",
    "encoder.report()", "encoder.similarity('a', 'b')",
])  # fmt: skip
def test_a_child_and_its_child_load_anew_whatever_others_do_meanwhile(use: str, bundle: Path) -> None:
    code = f"""
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=2)
wanted = encoder.encode(TEXTS)
ended = False
def encoding():
    while not ended: right(encoder.encode(TEXTS), wanted)
def loading():
    while not ended:
        with sestina.load(BUNDLE, threads=2) as another: another.encode(["a"]), another.explain("b")
threads = [threading.Thread(target=work) for work in (encoding, loading)]
for thread in threads: thread.start()
def used():
    {use}
    engine = encoder._engine
    right(encoder.encode(TEXTS), wanted)
    assert encoder._engine is engine and encoder.report().reloaded_after_fork  # once
for delay in (0.0, 0.01, 0.05):
    time.sleep(delay)
    child = os.fork()
    if not child:
        used()
        grandchild = os.fork()
        if not grandchild:
            used()
            encoder.close()
            try: encoder.encode("a")
            except sestina.ClosedError: sys.exit(8)
            sys.exit(1)
        reap(grandchild, 8)
        sys.exit(7)
    reap(child)
ended = True
for thread in threads: thread.join()
right(encoder.encode(TEXTS), wanted)
assert not encoder.report().reloaded_after_fork
"""
    program(code, bundle)


@forks
def test_threads_of_a_child_load_anew_once(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=1)
wanted = encoder.encode(TEXTS)
child = os.fork()
if not child:
    engines = []
    def work(): right(encoder.encode(TEXTS), wanted), engines.append(encoder._engine)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    sys.exit(7 if len(engines) == 4 and len(set(engines)) == 1 else 1)
reap(child)
"""
    program(code, bundle)


@forks
def test_a_child_of_a_closed_encoder_loads_nothing(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=1)
encoder.close()
child = os.fork()
if not child:
    try: encoder.encode("a")
    except sestina.ClosedError: sys.exit(7)
    sys.exit(1)
reap(child)
"""
    program(code, bundle)


@forks
def test_an_encoder_that_is_closed_while_a_child_loads_it_anew(bundle: Path) -> None:
    code = """
import sestina
from sestina._process import fork
encoder = sestina.load(BUNDLE, threads=1)
honest = encoder._again
def slow(recipe):
    loaded = honest(recipe)
    encoder.close()
    return loaded
encoder._again = slow
child = os.fork()
if not child:
    for _ in range(2):
        try: encoder.encode("a")
        except sestina.ClosedError: continue
        sys.exit(1)
    sys.exit(7)
reap(child)
"""
    program(code, bundle)


def test_a_sub_interpreter_is_told_that_it_cannot(bundle: Path) -> None:
    """As mod_wsgi's are by default: the import of onnxruntime waited there for ever."""
    program = (
        "try: import _interpreters as interpreters\n"
        "except ImportError: import _xxsubinterpreters as interpreters\n"
        "import sys\n"
        "code = '''import sys, warnings\nwarnings.simplefilter(\"ignore\")\nsys.path[:] = PATH\ntry:\n"
        '    import sestina\n    sestina.load(BUNDLE).encode("a")\n'
        "except (ImportError, ValueError, RuntimeError) as error:\n    print(type(error).__name__, error, flush=True)'''\n"
        "code = code.replace('PATH', repr(sys.path)).replace('BUNDLE', repr(sys.argv[1]))\n"
        "interpreters.run_string(interpreters.create(), code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(bundle)], capture_output=True, text=True, timeout=60, check=False
    )
    # A library may refuse it before ours can.
    assert "ProviderError onnxruntime works in the main interpreter" in ended.stdout or (
        ended.stdout.startswith("ImportError") and "sestina" not in ended.stdout
    )
