"""Plugins of the suite, in ``tests/support``: tiers, shards and the report of long tests."""

pytest_plugins = ("pytester", "durations", "shards", "tiers")
