"""Evaluation: how often a search returns the right product, measured exactly, with confidence intervals.

``evaluate`` runs the street crops of a data set as queries, ``results`` stores the ranks, ``compare`` tests one system
against another; ``metrics`` and ``bootstrap`` hold the mathematics, ``ranking`` scores the gallery block by block.
"""
