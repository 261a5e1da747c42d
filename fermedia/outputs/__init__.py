"""What a run writes: tables, annotated films and pictures, summaries."""
