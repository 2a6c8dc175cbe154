"""`python -m hibari`, the same as `hibari`."""

from hibari.cli import main

if __name__ == "__main__":
    main()
