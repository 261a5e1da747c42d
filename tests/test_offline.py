"""Nothing is sent anywhere: calls are watched, and no library of the base install could report to its maker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

from tests import fer
from tests.videos import astronaut

ROOT = Path(__file__).resolve().parents[1]

#: Servers of Google's telemetry, and the parts of its libraries that speak to them.
TELEMETRY = re.compile(rb"play\.googleapis\.com|clearcut|firebaselogging|app-measurement\.com", re.IGNORECASE)


def internet_calls(*command: str | Path, cwd: Path) -> list[str]:
    """What a Python command and its processes connect or send to with an address of the internet, as strace has it."""
    trace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", "calls.txt", sys.executable]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*trace, *map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    calls = (cwd / "calls.txt").read_text(errors="replace").splitlines()
    return [call for call in calls if "AF_INET" in call]  # AF_INET6 too


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where strace cannot watch a process, but not in CI on Linux, which has to have it."""
    works = shutil.which("strace") and not subprocess.run(["strace", "-f", "true"], capture_output=True).returncode
    if not works:
        message = "needs strace, and the right to use it"
        if "CI" in os.environ and sys.platform == "linux":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module")
def results(strace: None, face_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a video and a photo, and the calls that making them took."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "recordings").mkdir()
    shutil.copy(face_video, folder / "recordings")
    Image.fromarray(astronaut()).save(folder / "recordings" / "photo.jpg")
    command = ("-m", "fermedia", "analyze", "recordings", "--out", "results", "--workers", "2")
    assert internet_calls(*command, cwd=folder) == []
    assert (folder / "results" / "report.html").is_file()
    assert len(list((folder / "results" / "items").rglob("timeline.csv"))) == 2
    return folder / "results"


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_calls_are_seen(strace: None, tmp_path: Path, family: str) -> None:
    """Also those of a process's process, and where nobody answers."""
    send = (
        "import contextlib, socket\n"
        f"a = {('127.0.0.1' if family == 'AF_INET' else '::1', 9)}\n"
        f"def new(): return socket.socket(socket.{family}, socket.SOCK_DGRAM)\n"
        "with contextlib.suppress(OSError): new().connect(a)\n"
        "with contextlib.suppress(OSError): new().sendto(b'', a)\n"
        "with contextlib.suppress(OSError): new().sendmsg([b''], [], 0, a)\n"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {send!r}], check=True)"
    seen = internet_calls("-c", code, cwd=tmp_path)
    assert [call.split()[1].split("(")[0] for call in seen] == ["connect", "sendto", "sendmsg"]
    assert all(f"sa_family={family}," in call for call in seen)


@pytest.mark.parametrize(
    "command",
    [
        ["report", "results"],
        ["merge", "results", "--out", "all.csv"],
        ["plot", "results"],
        ["status", "results"],
    ],
    ids=lambda command: command[0],
)
def test_nothing_is_sent_by_what_comes_after_a_run(results: Path, command: list[str]) -> None:
    assert internet_calls("-m", "fermedia", *command, cwd=results.parent) == []


def test_nothing_is_sent_by_the_demo(strace: None, tmp_path: Path) -> None:
    assert internet_calls("-m", "fermedia", "demo", cwd=tmp_path) == []
    assert (tmp_path / "fermedia-demo" / "results" / "report.html").is_file()


def test_nothing_is_sent_by_evaluate(strace: None, tmp_path: Path) -> None:
    fer.write_csv(tmp_path / "fer2013.csv", fer.make_set())
    assert internet_calls("-m", "fermedia", "evaluate", "fer2013.csv", "--out", "plots", cwd=tmp_path) == []


def base_install() -> dict[str, Distribution]:
    """fermedia and all that is installed with it when no extra is asked for, by name."""
    found: dict[str, Distribution] = {}
    names = ["fermedia"]
    while names:
        if (name := names.pop()) not in found:
            found[name] = distribution(name)
            wanted = map(Requirement, found[name].requires or [])
            names += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def libraries(package: Distribution) -> list[Path]:
    """The shared libraries that came with it."""
    paths = [Path(str(package.locate_file(path))) for path in package.files or []]
    return [path for path in paths if {".so", ".dylib", ".dll", ".pyd"} & set(path.suffixes)]


def test_no_library_of_the_base_install_knows_a_server_of_telemetry() -> None:
    packages = base_install()
    assert {"fermedia", "ai-edge-litert", "av", "numpy", "opencv-python-headless"} <= set(packages)
    assert not {"mediapipe", "tensorflow", "matplotlib"} & set(packages)
    files = [path for package in packages.values() for path in libraries(package)]
    assert {"libpywrap_litert_common.so", "cv2.abi3.so"} <= {path.name for path in files} or sys.platform != "linux"
    assert not [path for path in files if TELEMETRY.search(path.read_bytes())]


def test_the_library_that_does_is_known() -> None:
    if find_spec("mediapipe") is None:
        pytest.skip('needs the extra: pip install ".[mediapipe]"')
    assert any(TELEMETRY.search(path.read_bytes()) for path in libraries(distribution("mediapipe")))
