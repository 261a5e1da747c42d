"""The report: HTML pages and figures made from the tables of the results."""
