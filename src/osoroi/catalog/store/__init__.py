"""The SQLite file that holds the truth: its schema, read transactions, the writer, and filters as SQL."""
