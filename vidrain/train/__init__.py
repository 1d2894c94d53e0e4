"""Learning: losses, mining and heads as pure pieces. Nothing here knows of files, video or configuration."""
