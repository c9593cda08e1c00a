"""Renders and segments garments: shapes, cloth, cuts, figures, scenes, canvas; ``segment`` cuts garments out of photos.

One unit is the height of a head. The middle of a person is x = 0, the pit of the neck y = 0, and y grows downwards:
the waist is at 1.7, the hips at 2.4, the knees at 4.4, the feet at 6.5.
"""
