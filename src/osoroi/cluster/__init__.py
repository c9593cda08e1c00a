"""Searching on many machines: shards of a catalog's index, each in a process of its own, and Ray to place them.

``merging`` and ``shard`` know nothing of Ray; nothing here is imported before a command asks for it.
"""
