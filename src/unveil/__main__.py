"""`python -m unveil` is the command `unveil`."""

from unveil.commands import main

if __name__ == "__main__":
    main()
