"""``python -m fermedia`` is the ``fermedia`` command."""

from fermedia.cli import main

main()
