"""The study file: read strictly, checked, and made into a list of runs."""
