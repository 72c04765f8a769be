"""What the terminal prints of results: the table, the lines beneath it, the long form."""
