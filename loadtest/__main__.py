"""``python -m loadtest``: what ``make load`` runs."""

import sys

from loadtest.run import main

sys.exit(main())
