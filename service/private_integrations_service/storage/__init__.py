"""Where everything is kept: one database, one writer, rules said by the schema."""
