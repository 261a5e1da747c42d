"""What the command says on the terminal, and with which status it ends.

Exit status: 0 success, 1 the command failed, 2 wrong usage, 3 some inputs failed, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

import click

from fermedia.errors import FermediaError, MissingExtraError, UsageError
from fermedia.files import printable

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

#: The messages of Linux, macOS and Windows when a package's shared library cannot be loaded.
_NO_LIBRARY = ("cannot open shared object", "Library not loaded", "DLL load failed")


def say(text: str, err: bool = False) -> None:
    """Print lines, with unprintable characters such as terminal escape sequences written as Python escapes.

    Messages contain names of paths, models and data sets, which may come from strangers.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def _words(error: OSError) -> str:
    """Describe an error of the system, with its file."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder no longer exists; change to another"
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}{error.strerror or error}"


class extra:
    """Turns a missing optional package into one line that says how to install it."""

    def __init__(self, what: str, extra: str = "train") -> None:
        self.what, self.extra = what, extra

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("fermedia"):
            raise MissingExtraError(self.what, self.extra) from error


def run(command: Callable[[], int | None]) -> NoReturn:
    """Run the command and exit with its status, or with that of the error it ends with, said in one line."""
    if sys.stderr is None:  # the caller closed it: the next file would get its number, and the output of libraries
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # output into a file has a limited character set on Windows
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = command()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except UsageError as error:
        say(f"fermedia: {printable(str(error))}", err=True)
        status = EXIT_USAGE
    except FermediaError as error:
        say(f"fermedia: {printable(str(error))}", err=True)
        status = EXIT_FAILED
    except BrokenPipeError:  # the reader of our output has closed it
        sys.stdout = None
        status = EXIT_FAILED
    except (ImportError, OSError) as error:
        if any(words in str(error) for words in _NO_LIBRARY):
            then = "install Microsoft's Visual C++ Redistributable" if sys.platform == "win32" else "install it"
            say(f"fermedia: a system library is missing ({error}); {then}, or reinstall fermedia", err=True)
        elif isinstance(error, OSError):  # an error of the system that no other code has described
            say(f"fermedia: {printable(_words(error))}", err=True)
        else:
            raise
        status = EXIT_FAILED
    except (KeyboardInterrupt, click.Abort) as error:  # click converts the first into the second
        how = str(error.__cause__ or error) or "to go on, give the same command again"
        say(f"fermedia: interrupted; {how}", err=True)
        status = EXIT_INTERRUPTED
        # If Ctrl-C came during an exec() of source text, which libraries use to make classes, CPython remembers that
        # and makes `python -m fermedia` die of the signal, whatever the status. Another exec() resets this.
        exec("")
    except RuntimeError as error:
        from fermedia.machine import NO_THREADS, is_no_thread

        if not is_no_thread(error):
            raise
        say(f"fermedia: {NO_THREADS}", err=True)
        status = EXIT_FAILED
    sys.exit(status)
