"""Start and stop the service: the application with all its parts, the worker processes, and their supervisor.

`application.py` builds the parts and hands each request to one of them; `serve.py` opens the data folder and runs the
server; `supervisor.py` starts and restarts worker processes; `doors.py` limits requests without a known credential.
For example: `serve(data_dir=folder, host="127.0.0.1", port=8080, say=print)`.
"""
