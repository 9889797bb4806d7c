"""Run Alembic on the connection that the api hands over."""

from alembic import context

from services.api.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
