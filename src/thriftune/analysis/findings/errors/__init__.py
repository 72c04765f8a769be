"""What the panels on errors ask of a study: which texts are wrong, where they lie and what their words are."""
