"""Start and stop the service: the application with all its parts, the server's workers, and their supervisor.

`application.py` builds the parts and hands each request to one of them; `serve.py` opens the data folder and runs the
workers; `supervisor.py` restarts them. For example: `serve(data_dir=folder, host="127.0.0.1", port=8080, say=print)`.
"""
