"""What the customer hands over: a path becomes a Source, which is data only. Loaders run in the export worker."""
