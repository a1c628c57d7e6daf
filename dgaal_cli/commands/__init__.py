"""One verb per file: parse, call a workflow, render. Heavy imports stay inside the functions."""
