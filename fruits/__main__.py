"""`python -m fruits`, which is also what `spark-submit` runs."""

from fruits.cli import main

if __name__ == "__main__":
    main()
