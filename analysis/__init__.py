"""Regenerates every table and figure, the audit, the claims and the report from results/ alone."""
