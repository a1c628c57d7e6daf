"""One command per file: parse, call ``api``, print. Heavy imports are inside the functions."""
