"""The audit's rules, a module a kind of question; each gives findings, none knows a finding in advance."""
