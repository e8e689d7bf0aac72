"""Makes the modules of bench/peers importable: the service for a run, cases, element types, statistics.
Import it before them."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "peers"))
