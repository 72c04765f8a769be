"""Who makes the runs of a study: this process one after the other, several at once, or processes elsewhere."""
