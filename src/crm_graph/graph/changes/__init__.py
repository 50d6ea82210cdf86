"""What happened: the feed, live changes and who may know of them."""
