"""Training: a data set and a recipe become a network.

``run`` is the line from top to bottom. ``dataset`` gathers pairs, ``loop`` takes the steps, ``closed_form`` fits heads
without steps, ``validation`` ranks the products that are held out. Part of the extra ``train``.
"""
