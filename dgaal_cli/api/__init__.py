"""The public Python API: one use case per file, each returns a result object and prints nothing."""
