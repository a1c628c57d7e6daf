"""``python -m dgaal_cli``."""

from dgaal_cli.cli import main

main()
