"""Everything that is written for people to find: paintings, plots, records, problems."""
