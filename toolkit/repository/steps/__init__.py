"""Python-backend steps that `add_step` copies into a repository. Each is one file for Triton's stub and a step.yaml."""
