"""A trained classifier in the formats of other libraries, checked there, with a model card."""
