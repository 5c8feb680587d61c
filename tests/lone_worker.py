"""A worker that nobody supervises, as in a program of one's own: python lone_worker.py --database URL ..."""

import argparse
import logging

from jobqueue.tools.options import add_database
from jobqueue.tools.working import add_options, prepare

parser = argparse.ArgumentParser()
add_database(parser)
add_options(parser)
logging.basicConfig(level=logging.INFO, format="%(message)s")
prepare(parser.parse_args()).run()
