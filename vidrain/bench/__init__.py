"""What cleaning costs: whole jobs and their stages, against decode plus encode in the same run."""
