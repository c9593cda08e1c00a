"""Evaluations as pictures and pages: ``html`` writes one self-contained page, ``charts`` its plots, ``grid`` pictures
of results, and ``examples`` chooses the queries to show."""
