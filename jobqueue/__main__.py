"""`python -m jobqueue`: see jobqueue/cli.py."""

import sys

from jobqueue.cli import main

sys.exit(main())
