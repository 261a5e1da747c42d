"""From a timeline, of any origin, to tables."""
