"""`python -m pdelab.cli` is the command `pdelab`."""

import sys

from pdelab.cli import main

sys.exit(main())
