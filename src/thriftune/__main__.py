"""`python -m thriftune`."""

from thriftune.cli import main

if __name__ == "__main__":  # runs execute in processes of their own
    main()
