"""``python -m botec``: the same as the ``botec`` script."""

from botec.cli import main

if __name__ == "__main__":
    main()
