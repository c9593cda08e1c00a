"""Weights of open_clip and timm under the names of `transformers`, so that neither of the two has to be installed.

``layout`` says who wrote a file, ``weights`` reads it, ``renaming`` moves tensors from name to name and counts what is
left over, ``open_clip``, ``timm``, ``convnext`` and ``dinov3`` know one layout each, ``network`` fills the model.
``own_names`` loads weights that have the names of `transformers` already.
"""
