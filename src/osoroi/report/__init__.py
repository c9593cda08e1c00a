"""Evaluations as pages and pictures.

``html`` writes one self-contained page, with the plots of ``charts`` and the photos of ``results_grid``. ``grid`` draws
pictures of results, with text by ``fonts``. ``examples`` selects the queries that are shown.
"""
