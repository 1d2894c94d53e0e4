"""One honest benchmark: any method on any set of clips, measured before any encoder."""
