"""What is wrong with an installation, and what to do about it: ``osoroi doctor``.

``installation`` looks at this machine, ``stored`` at a catalog, ``service`` at how a service is started and at what
comes through the proxy before it. Nothing is changed.
"""
