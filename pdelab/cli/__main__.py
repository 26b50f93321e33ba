"""`python -m pdelab.cli` is the command `pdelab`."""

import sys

from pdelab.cli import main

if __name__ == "__main__":
    sys.exit(main())
