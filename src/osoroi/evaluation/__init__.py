"""Evaluation: how often the right product is found, exactly, with intervals.

``evaluate`` asks the street crops of a data set, ``results`` holds and stores what came out, ``compare`` sets one
system against another, and ``metrics`` and ``bootstrap`` are the mathematics.
"""
