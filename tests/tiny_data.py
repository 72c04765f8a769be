"""Small labelled texts: those of `thriftune.testing`."""

from thriftune.testing.texts import LABELS, examples, pairs

__all__ = ["LABELS", "examples", "pairs"]
