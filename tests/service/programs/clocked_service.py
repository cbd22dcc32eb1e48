"""The real service with two workers and a clock that is ahead by what a file says: DATA_DIR CLOCK_FILE."""

import sys
from functools import partial
from pathlib import Path

from private_integrations_service.server import serve
from trials.weakened_service import ahead_by

if __name__ == "__main__":
    data_dir, clock_file = map(Path, sys.argv[1:])
    serve.utc_now = ahead_by(clock_file)
    serve.serve(data_dir=data_dir, host="127.0.0.1", port=0, say=partial(print, flush=True), workers=2)
