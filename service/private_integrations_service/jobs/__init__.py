"""Run the jobs of a data folder on a schedule, among them the job that signs and posts webhooks.

One process of the service runs the jobs at a time. For example:
`Jobs(engine.leadership("jobs"), [Job("forget old deliveries", timedelta(hours=1), forget)]).start()`.
"""
