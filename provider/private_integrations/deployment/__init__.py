"""A deployment: what `pulumi up` wants of a resource, and what it finds.

`declaration.py` reads the inputs, `plan.py` and `drift.py` compare them with state and service, `batched_reads.py`
reads the states of a whole stack in one request, `ownership.py` decides which deployment holds an integration.
For example: `deployment.batched_reads.Deployment(client)`.
"""
