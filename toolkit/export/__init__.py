"""From a Source to a checked Artifact. Everything that runs the customer's code runs in the worker process."""
