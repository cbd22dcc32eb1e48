"""The command line in a process that may have so many files open: `few_files.py FILES ARGUMENT…`."""

import resource
import sys

from private_integrations.cli import main

if __name__ == "__main__":
    files = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    main()
