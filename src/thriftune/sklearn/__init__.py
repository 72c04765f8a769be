"""Every method as an estimator of scikit-learn."""

from thriftune.sklearn.estimator import TextError, ThriftuneClassifier

__all__ = ["TextError", "ThriftuneClassifier"]
