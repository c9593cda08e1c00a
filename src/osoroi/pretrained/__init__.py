"""A pretrained backbone that somebody brings becomes the part `deep` of an encoder file; the other parts stay ours.

``folder`` says what lies in a folder, ``preprocessing`` and ``processors`` what pixels its model wants, ``output``
which of its outputs is the vector, ``model`` runs it by itself, ``graph`` and ``join`` put it beside the other parts,
``check`` compares the result with reference vectors, ``library`` gets those from `transformers`, ``reduction`` makes
its vectors shorter, ``card`` reads source and licence, ``refusals`` says what cannot be followed, ``make`` does all of
it in order.
"""
