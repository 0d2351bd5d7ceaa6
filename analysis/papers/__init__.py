"""Papers as the audit sees them: a folder that describes one, and what it makes of its points."""
