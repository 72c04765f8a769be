"""What every run on a transformer imports, for the process that runs are forked from.

Nothing here may start threads or touch a GPU: neither survives a fork.
"""

import peft  # noqa: F401
import transformers.modeling_utils  # noqa: F401

import thriftune.study.run.worker  # noqa: F401
