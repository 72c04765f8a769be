"""What only a GPU has use for: whole steps as graphs, batches of few shapes, numbers read without waiting.

No GPU was at hand to measure what it gains (`benchmarks/gpu.sh` would): it stays by reckoning, apart from all the rest.
"""
