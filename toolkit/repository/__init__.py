"""A Triton model repository on disk: configurations, entries, pipelines, python-backend steps, and a linter for it."""
