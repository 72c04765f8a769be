"""The processes of a run that several train together: who starts them, how they find each other, how they end."""
