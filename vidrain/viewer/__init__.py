"""One HTML file to look at what was done: before and after, the rain, where and how much it rained. No network."""
