"""Arrays in, numbers out; each statistic names its source."""
