"""Alembic runs the migrations on the connection that the service opened, in its one transaction."""

from alembic import context

from private_integrations_service.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
