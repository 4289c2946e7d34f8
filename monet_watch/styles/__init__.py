"""The style library: bundled pictures, and where a named style lies."""
