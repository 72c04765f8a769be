"""Checkpoints: a training that broke off goes on where it was, and ends as if it had not.

A run's lie in `RUN/checkpoint/`, numbered, the last two kept (`folder`). `Checkpoints` (`saver`) decides when one is
written and what was restored; `loop_state` is what a training consists of. Nothing here is imported with torch until it
is used.
"""

from thriftune.engine.resume.folder import CheckpointInfo, found

__all__ = ["CheckpointInfo", "found"]
