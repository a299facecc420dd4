"""The stages wired together. Composition only: what a stage does stands in its own package."""
