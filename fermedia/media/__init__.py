"""What there is to analyse, and its frames with their true times."""
