"""One training by several processes, each on a share of every batch: the same steps as one process makes.

The first process runs the training as if it were alone, and tells the others what to compute.
"""
