"""Coverage, quotes (who pays what), care acts and the claims that follow from them."""
