"""A catalog in a schema of a PostgreSQL database: the same tables and ``seq``, any number of writers and searchers.

Every searcher keeps an index in memory, with a snapshot in a cache folder of its machine, and follows ``seq``.
"""
