"""From tables and what a user knows of a study - people, events, codes - to results."""
