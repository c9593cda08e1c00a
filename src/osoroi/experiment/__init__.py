"""Experiments: several systems trained, exported, evaluated and compared by one plan file.

::

    plan          the TOML file: evaluations, systems, and what is searched over
    run           each system: search over settings, training with every seed, export, evaluation
    cached_crops  evaluation of many networks on the same crops
    per_category  models of one category each, as one system
    tables        systems by categories, with intervals and gains
    published     the figures of the source, to stand beside ours
    appearance    how far the colors and outlines of results are from the query and from each other
    picture       each query's results, one row for each arm
    report        all of these as one page
"""
