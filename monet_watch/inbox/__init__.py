"""Watching the inbox: what is a photo, when is it whole, and who says so."""
