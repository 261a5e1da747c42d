"""Find the inputs, and read their frames with the times at which they are shown."""
