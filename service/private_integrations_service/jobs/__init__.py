"""Work beside the requests: a schedule of jobs, and the job that signs and posts webhooks.

One process of the service runs the jobs at a time. For example:
`Jobs(folder, [Job("forget old deliveries", timedelta(hours=1), forget)], clock).start()`.
"""
