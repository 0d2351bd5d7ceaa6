"""The ledger of claims: the statement language, the joint bootstrap over points, and corrected verdicts."""
