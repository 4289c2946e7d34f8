"""The method: arrays in, events out. Knows no files, no folders, no daemon."""
