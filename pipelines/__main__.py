"""``python -m pipelines`` is the command ``tinytimbre``."""

import sys

from pipelines.start import main

if __name__ == "__main__":
    sys.exit(main())
