"""Training: datasets and a recipe become a network.

``run`` goes from top to bottom. ``dataset`` selects pairs, ``view_loader`` crops and augments them, ``feature_cache``
keeps what is frozen, ``sampling`` makes batches, ``loop`` takes the steps, ``lda`` fits heads without steps,
``foreground`` trains the foreground head, ``validation`` ranks held-out products. Part of the extra ``train``.
"""
