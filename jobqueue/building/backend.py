"""The build backend: setuptools, but in a temporary folder. So the sources may be read-only, no second copy
of them is left beside them, and the wheel has no files that were deleted after an earlier build.
"""

import os
import tempfile
from pathlib import Path

from setuptools.build_meta import *  # noqa: F403

aside = tempfile.TemporaryDirectory()  # until the process ends
options = Path(aside.name, "options.cfg")
options.write_text(f"[build]\nbuild_base = {aside.name}\n[egg_info]\negg_base = {aside.name}\n")
os.environ.setdefault("DIST_EXTRA_CONFIG", str(options))
