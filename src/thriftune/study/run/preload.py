"""What every run on a transformer imports, for the process that runs are forked from.

Nothing here may start threads that are needed later, or touch a GPU: neither survives a fork. What is imported is then
no longer looked through for what could be freed, in any of the runs.
"""

import gc

from thriftune.study.start import importing

with importing():
    import peft  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import transformers.modeling_utils  # noqa: F401

    import thriftune.study.run.worker  # noqa: F401

gc.freeze()
