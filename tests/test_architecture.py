"""Imports point one way, heavy libraries stay in few modules, and starting is quick because little is loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fermedia"

#: A module may import from its own folder and from the layers above its own here; in the lowest layer from all of it.
LAYERS = (
    {
        "types",
        "columns",
        "errors",
        "options",
        "flags",
        "console",
        "files",
        "images",
        "machine",
        "cgroups",
        "names",
        "threads",
    },
    {"media", "vision", "tables"},
    {"pipeline", "render", "study"},
    {"report"},
    {"library", "store"},
    {"jobs", "training"},
    {"commands"},
    {"cli"},
)
#: Training stands apart: it knows nothing of recordings, tables and runs. Modules, or whole folders.
TRAINING_MAY_USE = {"types", "errors", "options", "files", "images", "training"}
TRAINING_MAY_USE |= {"media.find", "media.photos", "vision.detect", "vision.framing", "vision.classify", "vision.quiet"}

#: Where each heavy library may be imported.
IMPORTED_IN = {
    "av": {
        "media.container",
        "media.decoder",
        "media.frames",
        "media.video",
        "media.spans",
        "media.sequence",
        "render.audio",
        "render.encoder",
        "render.muxer",
        "render.tracks",
        "render.video",
        "render.joined",
        "commands.demo",
    },
    "mediapipe": {"vision.reference"},
    "ai_edge_litert": {"vision.classify", "vision.mesh", "vision.networks"},
    "tensorflow": {"training.fit", "training.export", "training.session"},
    "keras": {"training.fit", "training.export", "training.network", "training.memory"},
    "matplotlib": {
        "training.plots",
        "report.plots",
        "report.group_plots",
        "report.event_plots",
        "report.agreement_plots",
        "report.measure_plots",
        "commands.figures",
    },
    "openpyxl": {"study.given", "commands.export"},
    "pyreadstat": {"commands.export"},
    "ray": {"jobs.cluster"},
}

#: What only POSIX systems have. Nothing of ours needs it: a library does what it was needed for.
POSIX = {"crypt", "fcntl", "grp", "nis", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(folder: str) -> int:
    return next(i for i, folders in enumerate(LAYERS) if folder in folders)


def test_imports_only_point_down() -> None:
    wrong = []
    for name, tree in modules().items():
        folder = name.split(".")[0]
        for target in imported(tree):
            if not target.startswith("fermedia."):
                continue
            other = target.split(".")[1]
            if other.startswith("_") or other not in set().union(*LAYERS):
                continue
            allowed = layer(other) < layer(folder) or other == folder or layer(folder) == 0
            if folder == "training":
                allowed = any(f"{target}.".startswith(f"fermedia.{place}.") for place in TRAINING_MAY_USE)
            if not allowed:
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_no_two_modules_need_each_other() -> None:
    trees = modules()
    uses = {
        name: {other for t in imported(tree) for other in trees if f"{t}.".startswith(f"fermedia.{other}.")}
        for name, tree in trees.items()
    }
    assert list(TopologicalSorter(uses).static_order())  # CycleError names them


def test_one_module_handles_signals() -> None:
    setters = ("signal", "set_wakeup_fd", "pthread_sigmask")
    handling = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "signal"
        if node.attr in setters
    }
    assert handling == {"jobs.interrupt"}


def test_every_module_stands_on_a_layer() -> None:
    folders = {name.split(".")[0] for name in modules()}
    assert folders == set().union(*LAYERS)


@pytest.mark.parametrize("library", IMPORTED_IN)
def test_heavy_libraries_stay_in_their_rooms(library: str) -> None:
    users = {name for name, tree in modules().items() if library in {t.split(".")[0] for t in imported(tree)}}
    assert users
    assert users <= IMPORTED_IN[library]


def test_only_training_itself_needs_what_its_extra_brings() -> None:
    """Reading data, measuring a model and resuming's bookkeeping do with the base install; images need matplotlib."""
    code = (
        "import importlib, sys\nneeding = {}\n"
        "for library in ('tensorflow', 'keras', 'tensorboard', 'scipy', 'sklearn', 'matplotlib', 'ray', 'pyarrow'):\n"
        "    sys.modules[library] = None\n"
        f"for name in {[n for n in modules() if n.startswith('training.')]!r}:\n"
        "    try: importlib.import_module('fermedia.' + name)\n"
        "    except ModuleNotFoundError as e: needing.setdefault(e.name.split('.')[0], []).append(name.split('.')[1])\n"
        "print({library: sorted(names) for library, names in sorted(needing.items())})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == {
        "keras": ["export", "fit", "memory", "network"],
        "matplotlib": ["explore", "plots"],
        "tensorflow": ["session"],
    }


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys\nfrom fermedia.cli import cli\n"
        "for command in ([], ['analyze'], ['plot'], ['train'], ['evaluate']):\n"
        "    try: cli([*command, '--help'])\n    except SystemExit: pass\n"
        "heavy = {'numpy','cv2','av','mediapipe','tensorflow','keras','pandas','ai_edge_litert','PIL','matplotlib'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("LOADED []")


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, fermedia; print(sorted({'numpy','cv2','pandas'} & set(sys.modules)), fermedia.EMOTIONS[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] angry"


def test_nothing_of_posix_alone_is_imported() -> None:
    users = {name: POSIX & {t.split(".")[0] for t in imported(tree)} for name, tree in modules().items()}
    assert not {name: found for name, found in users.items() if found}


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_other_systems_can_load_it_and_have_what_it_asks_of_a_machine(system: str) -> None:
    """All that analysis needs, once for the libraries' sake, and again where the system is said to be another."""
    names = ["fermedia", *(f"fermedia.{name}" for name in modules() if not name.startswith("training."))]
    code = f"""
import runpy, sys
from importlib import import_module
from fermedia.errors import MissingExtraError
names = []
for name in {names!r}:
    try:
        import_module(name)
    except (MissingExtraError, ModuleNotFoundError):
        continue
    names.append(name)
assert len(names) > 50, names
for name in [name for name in sys.modules if name.split(".")[0] == "fermedia"]:
    del sys.modules[name]
runpy.run_path({str(Path(__file__).parent / "without_posix" / "sitecustomize.py")!r})
sys.platform = {system!r}
for name in names:
    import_module(name)
from fermedia import machine
from fermedia.jobs.workers import fitting
machine.limit_malloc_arenas(), machine.use_batch_scheduling(), machine.trim_heap()
with machine.busy_pool(2, "busy", nice=3) as busy:
    assert busy.submit(int, "7").result() == 7
assert fitting(3) >= 1
assert "fcntl" not in [name for name, module in sys.modules.items() if module]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
