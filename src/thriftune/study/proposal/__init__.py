"""The study file that `thriftune init` proposes."""
