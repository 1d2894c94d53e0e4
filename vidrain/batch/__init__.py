"""Many files: what is to be done, what is done already, and who does it; survives a kill at any moment."""
