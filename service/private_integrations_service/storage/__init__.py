"""Store the service's data: the engine, the tables, and one module of SQL statements for each noun.

The statements are SQLAlchemy Core without a dialect of their own; what only one database can do lies in its own folder
(`sqlite/`). For example: `integration_by_id(connection, integration_id, accounts)`.
"""
