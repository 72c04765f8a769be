"""What an evaluation leaves: the rows that it scored, and their place beside the study."""
