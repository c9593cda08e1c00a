"""``python -m osoroi``: the command line, where the program ``osoroi`` is not on the path."""

from osoroi.cli import main

if __name__ == "__main__":
    main(prog_name="python -m osoroi")
