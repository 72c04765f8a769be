"""Trackers: every run's settings, curves, scores and costs in W&B, MLflow, TensorBoard or Trackio; a file for each."""
