"""Print the pins of one file of requirements that another one does not have: `make lock` writes each once.

python requirements/besides.py requirements/bench.txt < all.txt
"""

import re
import sys
from pathlib import Path

PIN = re.compile(r"^\S.*\n(?: .*\n)*", re.MULTILINE)  # a package, and its hashes

known = set(PIN.findall(Path(sys.argv[1]).read_text()))
sys.stdout.writelines(pin for pin in PIN.findall(sys.stdin.read()) if pin not in known)
