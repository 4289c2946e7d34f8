"""Whether everything is as painting needs it: many small looks at the machine and at the house, each with a remedy."""
