"""From one item to its files, and from many inputs to one folder."""
