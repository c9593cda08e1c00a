"""What a search needs in memory, derived from the store: the index, columns for filters, and their snapshots."""
