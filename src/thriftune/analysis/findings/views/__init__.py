"""Tables and charts by method that several panels show."""
