"""`python -m kerasgen.cli`, the same as the console script `kerasgen`."""

import sys

from kerasgen.cli import main

sys.exit(main())
