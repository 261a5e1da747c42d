"""Annotated videos and photos, and preview images for the report."""
