"""Run the command line: `python -m services.standalone`, as containers do."""

from services.standalone.cli import main

if __name__ == "__main__":
    main()
