"""The report: pages that a person looks at, made from the tables of the results."""
