"""The electrical feed: what the site meters say, and how far it may be believed."""
