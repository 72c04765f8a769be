"""From a source of labelled texts to splits, tokens and a profile; never imports torch."""
