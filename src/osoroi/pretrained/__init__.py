"""A pretrained backbone that somebody brings becomes the part `deep` of an encoder file; the other parts stay ours.

``folder`` says what lies in a folder, ``preprocessing`` and ``processors`` what pixels its model wants, ``output`` which
of its outputs is the vector, ``graph`` joins it with the other parts, ``check`` compares the result with reference
vectors, ``reduction`` makes its vectors shorter, ``card`` reads source and licence, ``make`` does all of it in order.
"""
