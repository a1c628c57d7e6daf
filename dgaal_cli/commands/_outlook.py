"""A process that the label terminal starts beside itself.

No command of its own: it writes a cache that can always be made again.
"""

import os
import sys
from pathlib import Path

from dgaal_cli.config.load import configuration
from dgaal_cli.errors import DgaalError
from dgaal_cli.workspace import open_workspace


def main(arguments: list[str]) -> int:
    """Make the outlook of the workspace named by the only argument; return the exit code."""
    from dgaal_cli.labeling.pool_predictions import make_outlook

    try:
        os.nice(10)
        workspace = open_workspace(Path(arguments[0]))
        count = make_outlook(workspace, configuration(workspace))
    except DgaalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
