"""The SQLite file that holds the database: its schema, read transactions, the writer, and filters as SQL."""
