"""The ``fermedia`` command, which ``python -m fermedia`` is too."""

from fermedia.jobs.interrupt import ended_while_loading


def main() -> None:
    """Run the command; Ctrl-C and SIGTERM end it in one line even while it is being loaded."""
    with ended_while_loading():
        from fermedia.cli import main as command
    command()


if __name__ == "__main__":
    main()
