"""Makes the modules of bench/peers importable: the service for a run, cases, processes that are timed.
Import it before them."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"
sys.path.append(str(PEERS))
