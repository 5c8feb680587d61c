"""`python -m jobqueue`: see jobqueue/tools/cli.py."""

import sys

from jobqueue.tools.cli import main

sys.exit(main())
