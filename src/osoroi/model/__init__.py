"""Networks, in torch: crops to vectors in parts.

``network`` holds ours and ``multiscale`` the published one; ``build`` makes either from a recipe. ``backbones`` has one
deep network a file. ``export`` writes the encoder file that serves without torch. Part of the extra ``train``.
"""
