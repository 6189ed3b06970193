"""Speed and memory beside PocketBase, plain Datasette and bare loops: `just bench`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
