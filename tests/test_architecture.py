"""Imports point one way, heavy libraries stay in their rooms, and starting is quick because little is loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fermedia"

#: A module may import from its own floor's row and from the rows above it here.
FLOORS = (
    {"types", "columns", "errors", "options", "flags", "files", "pictures", "machine", "cgroups", "names", "threads"},
    {"media", "vision"},
    {"outputs"},
    {"runs", "training"},
    {"cli"},
)
#: Within a row nothing crosses from one room to another, except on the ground floor.
TRAINING_MAY_USE = {"media", "vision", "types", "errors", "options", "files", "pictures", "training"}

#: Where each heavy library may be imported.
ROOMS = {
    "av": {
        "media.frames",
        "media.video",
        "media.spans",
        "media.sequence",
        "outputs.audio",
        "outputs.video",
        "outputs.joined",
        "runs.demo",
    },
    "mediapipe": {"vision.reference"},
    "ai_edge_litert": {"vision.classify", "vision.networks"},
    "tensorflow": {"training.fit", "training.export", "training.session"},
    "keras": {"training.fit", "training.export", "training.network", "training.memory"},
    "matplotlib": {"training.plots", "outputs.plots"},
    "scipy": {"training.export"},
    "ray": {"runs.cluster"},
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


def floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def test_imports_only_point_down() -> None:
    wrong = []
    for name, tree in modules().items():
        room = name.split(".")[0]
        for target in imported(tree):
            if not target.startswith("fermedia."):
                continue
            other = target.split(".")[1]
            if other.startswith("_") or other not in set().union(*FLOORS):
                continue
            allowed = floor(other) < floor(room) or other == room or floor(room) == 0
            if room == "training":
                allowed = other in TRAINING_MAY_USE
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


def test_every_module_stands_on_a_floor() -> None:
    rooms = {name.split(".")[0] for name in modules()}
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("library", ROOMS)
def test_heavy_libraries_stay_in_their_rooms(library: str) -> None:
    users = {name for name, tree in modules().items() if library in {t.split(".")[0] for t in imported(tree)}}
    assert users
    assert users <= ROOMS[library]


def test_only_training_itself_needs_what_its_extra_brings() -> None:
    """Reading data, measuring a model and resuming's bookkeeping do with the base install; pictures need matplotlib."""
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


@pytest.mark.parametrize("command", [[], ["analyze"], ["plot"], ["train"], ["evaluate"]])
def test_help_loads_no_heavy_library(command: list[str]) -> None:
    code = (
        "import sys\nfrom fermedia.cli import cli\n"
        f"try: cli({[*command, '--help']!r})\nexcept SystemExit: pass\n"
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
from fermedia.runs.workers import fitting
machine.share_heaps(), machine.take_long_turns(), machine.give_back_memory()
with machine.busy_pool(2, "busy", nice=3) as busy:
    assert busy.submit(int, "7").result() == 7
assert fitting(3) >= 1
assert "fcntl" not in [name for name, module in sys.modules.items() if module]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
