"""Find the product in a shop from a photo of someone wearing it."""

__version__ = "0.1.0"
