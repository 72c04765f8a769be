"""Data that is larger than memory should have to be: arrays and tables in files without a name, mapped."""
