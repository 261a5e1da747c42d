"""The ``fermedia`` command, which ``python -m fermedia`` is too."""

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command; Ctrl-C and SIGTERM end it in one line even while it is being loaded."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as for jobs in the background
            signal.signal(number, _end)
    from fermedia.cli import main as command

    for number, handler in before.items():
        signal.signal(number, handler)
    command()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"fermedia: interrupted; to go on, give the same command again\n")
    os._exit(130)


if __name__ == "__main__":
    main()
