"""`python -m glimmer` is the console script."""

import sys

from glimmer.cli import main

sys.exit(main())
