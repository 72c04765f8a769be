"""What a study will cost and how long it takes, before anything is trained."""
