"""`python -m private_integrations.cli`."""

from . import main

main()
