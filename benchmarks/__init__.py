"""Measurements of monet-watch; each script prints a table and writes JSON. See README.md in this folder."""
