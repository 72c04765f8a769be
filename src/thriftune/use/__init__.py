"""A trained classifier in use: loaded from where a study left it, it labels lists of texts and files of any size."""
