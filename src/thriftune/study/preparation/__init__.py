"""A study's data, read and tokenised once; what that shows to be impossible is refused."""
