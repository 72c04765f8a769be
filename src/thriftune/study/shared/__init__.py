"""What processes agree on through a study's folder alone: who is there, who has which run, what is done."""
