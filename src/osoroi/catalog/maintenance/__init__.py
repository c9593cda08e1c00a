"""What is done to a whole catalog: ``check``, ``backup``, ``reencode``."""
