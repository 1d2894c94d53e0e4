"""`python -m vidrain`: the same as the `vidrain` command."""

from vidrain.cli import main

main()
