"""Data sets: products and their photos as rows.

``readers`` has one format a file, ``synthetic`` draws garments and people, ``splits`` deals products into train and
val, ``tabular`` reads tables, and ``download`` fetches photos by links.
"""
