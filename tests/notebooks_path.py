"""Importing this puts the workbook's folder on sys.path."""

import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
