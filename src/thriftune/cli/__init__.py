"""The `thriftune` command: reads arguments, calls the library, prints; a file for each command.

Exit codes: 0 all done; 1 some run failed; 2 the input was wrong; 130 Ctrl-C; 143 SIGTERM; 129 a closed terminal.
"""

from thriftune.cli.entry import app, main

__all__ = ["app", "main"]
