"""The report: one HTML file that opens offline, the figures as SVG, and the rows that the terminal prints."""
