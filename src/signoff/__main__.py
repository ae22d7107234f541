"""`python -m signoff`."""

from signoff.cli.main import main

if __name__ == "__main__":
    main()
