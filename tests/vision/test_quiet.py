"""Libraries' chatter is left out and nothing else: not what another thread says meanwhile, nor what a child does."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    """What a program says on its error output."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_others_say_while_networks_are_made_is_heard() -> None:
    program = r"""
import os, threading
from fermedia.vision.classify import Classifier
from fermedia.vision.detect import FaceDetector
going = True
def say():
    number = 0
    while going or number < 10:
        os.write(2, b"line %d\n" % number)
        number += 1
        going or print("all", number, flush=True)
thread = threading.Thread(target=say)
thread.start()
Classifier.load()
for _ in range(3):
    FaceDetector().close()
going = False
thread.join()
"""
    lines = run(program).splitlines()
    assert len(lines) >= 10
    assert sorted(lines) == sorted(f"line {number}" for number in range(len(lines)))


def test_chatter_goes_and_all_else_stays_in_its_order() -> None:
    program = r"""
import os, subprocess, sys
from fermedia.vision.quiet import quiet_stderr
with quiet_stderr():
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
    print("one", file=sys.stderr)
    os.write(2, b"half a line, INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
    os.write(2, b"I0000 00:00:1795898746.776002    4768 port.cc:153] oneDNN custom operations are on.\n")
    os.write(2, b"\nERROR: INFO I0000 two\n")
    subprocess.run([sys.executable, "-c", "import sys; print('three', file=sys.stderr)"])
print("four", file=sys.stderr)
"""
    assert run(program) == "one\nhalf a line, \nERROR: INFO I0000 two\nthree\nfour\n"


def test_an_error_within_passes_and_so_does_what_was_said() -> None:
    program = """
import sys
from fermedia.vision.quiet import quiet_stderr
try:
    with quiet_stderr():
        print("said", file=sys.stderr)
        raise ValueError("raised")
except ValueError as error:
    print(error, file=sys.stderr)
"""
    assert run(program) == "said\nraised\n"


def test_nothing_is_done_without_an_error_output() -> None:
    program = """
import os
os.close(2)
from fermedia.vision.quiet import quiet_stderr
with quiet_stderr():
    print("done")
"""
    assert run(program) == ""
