"""A reader for each format of labelled data."""
