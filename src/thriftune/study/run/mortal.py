"""Imported first by the process that runs are forked from: it then dies with the study, even while it imports."""

from thriftune.endings import killed_with_parent

killed_with_parent()
