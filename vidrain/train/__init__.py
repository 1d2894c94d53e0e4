"""Learning: losses, mining and recycling as pure pieces, and the loop that puts them to use."""
