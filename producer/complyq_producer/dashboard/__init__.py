"""`complyq dashboard`: a read-only web page that shows what is going on. Needs the extra `dashboard`."""
