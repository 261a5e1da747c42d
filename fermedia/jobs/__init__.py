"""Who does the work, and in which order."""
