"""Places where a painting is made."""
